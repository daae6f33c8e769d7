"""The assistants of the demo."""

from gateway.emulator.objects import Assistant, JsonObject

ASSISTANT_CONCIERGE = "asst_demoTravelConcierge00001"
ASSISTANT_ANALYST = "asst_demoDataAnalyst000000001"
ASSISTANT_WRITER = "asst_demoReleaseWriter0000001"
ASSISTANT_SUPPORT = "asst_demoSupportDesk000000001"
FILE_SALES = "file-demoSalesCsv0000000001"
FILE_HANDBOOK = "file-demoHandbookPdf0000001"


def concierge(created_at: int) -> Assistant:
    """Return an assistant with two functions."""
    return Assistant(
        id=ASSISTANT_CONCIERGE,
        created_at=created_at,
        name="Travel concierge",
        description="Plans trips with live weather and trains.",
        model="gpt-4o",
        instructions="You plan trips. Ask for the weather and the trains before you propose a day.",
        tools=(
            _function("get_weather", "The forecast for a city", {"city": "string", "date": "string"}),
            _function("find_trains", "Trains between two stations", {"from": "string", "to": "string"}),
        ),
        metadata={"team": "travel"},
    )


def analyst(created_at: int) -> Assistant:
    """Return an assistant with the code interpreter and file search."""
    return Assistant(
        id=ASSISTANT_ANALYST,
        created_at=created_at,
        name="Data analyst 📊",
        description="Reads spreadsheets, draws charts, cites the handbook.",
        model="gpt-4o",
        instructions="You analyse the attached data and cite your sources.",
        tools=({"type": "code_interpreter"}, {"type": "file_search"}),
        tool_resources={
            "code_interpreter": {"file_ids": [FILE_SALES]},
            "file_search": {"vector_store_ids": ["vs_demoHandbook00000000001"]},
        },
        metadata={"team": "insights"},
        temperature=0.2,
    )


def writer(created_at: int) -> Assistant:
    """Return an assistant without tools."""
    return Assistant(
        id=ASSISTANT_WRITER,
        created_at=created_at,
        name="Release writer",
        model="gpt-4o-mini",
        instructions="You turn lists of changes into release notes that people like to read.",
    )


def support(created_at: int) -> Assistant:
    """Return an assistant with two functions, one of which a person has to approve."""
    return Assistant(
        id=ASSISTANT_SUPPORT,
        created_at=created_at,
        name="Support desk",
        description="Answers customers; refunds need a person's approval.",
        model="gpt-4o-mini",
        instructions="You help customers of a webshop. Look up the order first. Never promise a refund.",
        tools=(
            _function("look_up_order", "An order by its number", {"order_number": "string"}),
            _function("issue_refund", "Pay an order back", {"order_number": "string", "reason": "string"}),
        ),
        metadata={"team": "support", "locale": "en,de,ja"},
    )


def _function(name: str, description: str, properties: dict[str, str]) -> JsonObject:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    function = {"name": name, "description": description, "parameters": parameters, "strict": False}
    return {"type": "function", "function": function}
