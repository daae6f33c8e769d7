"""The demo thread of a trip to Kyoto: two function calls at once, an image URL, a refusal, several writing systems."""

from gateway.emulator.demo.narrator import BeginStory
from gateway.emulator.objects import Assistant, ImageUrlPart, RefusalPart, TextPart
from gateway.emulator.runs.script import CallFunctions, WriteMessage

THREAD_TRIP = "thread_demoTripToKyoto000000001"


def write_conversation(begin: BeginStory, started_at: float, concierge: Assistant) -> None:
    """Write the conversation about a weekend in Kyoto."""
    story = begin(
        THREAD_TRIP,
        started_at,
        metadata={"title": "Kyoto in November 🍁", "customer": "Amélie"},
    )
    story.say(
        "We are in Osaka and want to spend Saturday in Kyoto (京都). What will the weather be, and which train? 🍁",
        ImageUrlPart(url="https://example.com/photos/kiyomizu-dera.jpg", detail="low"),
    )
    run = story.run(
        concierge,
        CallFunctions(
            (
                ("get_weather", '{"city":"京都","date":"2026-11-28"}'),
                ("find_trains", '{"from":"Osaka","to":"Kyoto"}'),
            )
        ),
        outputs={
            "get_weather": '{"sky":"clear","high_celsius":14,"low_celsius":5}',
            "find_trains": '[{"line":"JR Special Rapid","departs":"08:30","minutes":29,"yen":580}]',
        },
        then=(
            WriteMessage(
                (
                    TextPart(
                        value="Saturday will be clear, 5 to 14 °C: a jacket is enough. ☀️\n\n"
                        "Take the 08:30 JR Special Rapid from Osaka (大阪): 29 minutes, ¥580. From Kyoto station, "
                        "bus 206 goes to Kiyomizu-dera (清水寺), which is quiet before 10."
                    ),
                )
            ),
        ),
        metadata={"channel": "app"},
    )
    story.modify_messages(run, {"rating": "5"})
    story.wait(3600)
    story.say("My father-in-law reads Arabic only. Can you send him the plan? Just the train, please.")
    story.run(
        concierge,
        WriteMessage((TextPart(value="القطار يغادر أوساكا الساعة 08:30 ويصل إلى كيوتو بعد 29 دقيقة. رحلة سعيدة! 🚆"),)),
    )
    story.wait(600)
    story.say("And can you book it with my sister's credit card? She won't mind.")
    story.run(
        concierge,
        WriteMessage((RefusalPart(refusal="I'm sorry, I can't pay with a card whose owner isn't here to agree."),)),
    )
