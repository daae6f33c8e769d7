"""The demo threads of a support desk: a failed run, an order look-up, and a refund that waits for approval."""

from gateway.emulator.demo.narrator import BeginStory
from gateway.emulator.objects import Assistant, Failure, ImageFilePart, TextPart
from gateway.emulator.runs.script import CallFunctions, Fail, WriteMessage

THREAD_SUPPORT = "thread_demoBrokenTeapot00000001"
THREAD_REFUND = "thread_demoRefundPending0000001"
FILE_TEAPOT = "file-demoTeapotPhoto0000001"
RUN_FAILED = "run_demoBrokenTeapot00000001"
RUN_WAITING = "run_demoRefundPending0000001"
# A demo may stay open for months, and its waiting run should not expire.
_WAITING_SECONDS = 10 * 365 * 86_400


def write_teapot_conversation(begin: BeginStory, started_at: float, support: Assistant) -> None:
    """Write the conversation about a broken teapot: the first run fails, the second one looks up the order."""
    story = begin(
        THREAD_SUPPORT,
        started_at,
        metadata={"title": "Teapot arrived broken", "priority": "high"},
    )
    story.say(
        "Hi! Order 1047 arrived today, but the lid of the teapot is broken 😢 Here is a picture.",
        ImageFilePart(file_id=FILE_TEAPOT, detail="high"),
    )
    story.run(
        support,
        Fail(Failure("rate_limit_exceeded", "You exceeded your current quota, please try again later.")),
    )
    story.wait(45)
    story.run(
        support,
        CallFunctions((("look_up_order", '{"order_number":"1047"}'),)),
        outputs={"look_up_order": '{"order":"1047","item":"Teapot “Zoë”, 0.8 l","paid_eur":38.5,"age_days":3}'},
        then=(
            WriteMessage(
                (
                    TextPart(
                        value="I'm sorry about the lid! Order 1047 (Teapot “Zoë”, 0.8 l) is three days old, so we can "
                        "replace it for free. Shall I send a new lid, or would you rather return the teapot?"
                    ),
                )
            ),
        ),
    )
    story.say("A new lid is perfect, thank you! 🫖")
    story.run(support, WriteMessage((TextPart(value="Done: it leaves tomorrow and should be with you by Friday. 📦"),)))


def write_refund_conversation(begin: BeginStory, started_at: float, support: Assistant) -> None:
    """Write the conversation about a refund: its run waits until a client submits the function's output."""
    story = begin(
        THREAD_REFUND,
        started_at,
        metadata={"title": "Refund for order 1052", "locale": "de"},
    )
    story.say("Bestellung 1052 ist nie angekommen. Ich möchte bitte mein Geld zurück. Grüße, Jürgen")
    story.run(
        support,
        CallFunctions((("issue_refund", '{"order_number":"1052","reason":"never arrived"}'),)),
        waits_until=started_at + _WAITING_SECONDS,
    )
