"""A conversation with LangChain's assistant runnable. Prints its results as JSON."""

import json
import sys
from typing import Any

import openai
from langchain_classic.agents.openai_assistant import OpenAIAssistantRunnable  # type: ignore[import-not-found]
from langchain_core.agents import AgentFinish  # type: ignore[import-not-found]
from langchain_core.tools import StructuredTool  # type: ignore[import-not-found]


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"{city}: 4 degrees"


def main(url: str, key: str) -> None:
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    plain = OpenAIAssistantRunnable.create_assistant(
        name="Helper", instructions="Be brief.", tools=[], model="gpt-4o", client=client
    )
    plain.check_every_ms = 0
    messages: Any = plain.invoke({"content": "What is a heron?"})
    again: Any = plain.invoke({"content": "And an egret?", "thread_id": messages[0].thread_id})
    weather = StructuredTool.from_function(get_weather)
    agent = OpenAIAssistantRunnable.create_assistant(
        name="Helper", instructions="", tools=[weather], model="gpt-4o", client=client, as_agent=True
    )
    agent.check_every_ms = 0
    actions: Any = agent.invoke({"content": "The weather in Oslo?"})
    steps = [(action, weather.invoke(action.tool_input)) for action in actions]
    finish: Any = agent.invoke({"content": "", "intermediate_steps": steps})
    print(  # noqa: T201 - the result
        json.dumps(
            {
                "texts": [part.text.value for message in (*messages, *again) for part in message.content],
                "thread_ids": sorted({message.thread_id for message in (*messages, *again)}),
                "tools": [action.tool for action in actions],
                "finish": finish.return_values["output"] if isinstance(finish, AgentFinish) else None,
            }
        )
    )


main(*sys.argv[1:])
