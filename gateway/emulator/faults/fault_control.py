"""The route by which a test or a person changes the fault rules of a running emulator; off unless asked for."""

from dataclasses import asdict
from typing import Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.emulator.faults.fault_rules import FaultRule, FaultRuleError, Faults, error_from_validation
from gateway.emulator.http.api_endpoint import json_response

FAULTS_PATH = "/_emulator/faults"
_EXAMPLE = '{"rules": [{"operation": "createRun", "fault": "503", "first": 2}]}'
FAULTS: Final = web.AppKey("FAULTS", Faults)


class FaultRules(BaseModel):
    """The body of a PUT: the rules that shall be in force, in their order."""

    model_config = ConfigDict(extra="forbid")

    rules: tuple[FaultRule, ...]


def add_fault_control(app: web.Application) -> None:
    """Let the application's rules be read, replaced and dropped."""
    app.router.add_route("GET", FAULTS_PATH, show_faults)
    app.router.add_route("PUT", FAULTS_PATH, replace_faults)
    app.router.add_route("DELETE", FAULTS_PATH, drop_faults)


async def show_faults(request: web.Request) -> web.Response:
    """Return the rules in force, each with how many requests it was about and how many it struck."""
    counted = request.app[FAULTS].counted
    rules = [{**rule.model_dump(exclude_defaults=True), **asdict(count)} for rule, count in counted]
    return json_response({"rules": rules})


async def replace_faults(request: web.Request) -> web.Response:
    """Put the rules of the body in the place of those in force; a bad body changes nothing."""
    try:
        body = FaultRules.model_validate_json(await request.read())
        request.app[FAULTS].replace(body.rules)
    except ValidationError as error:
        return _refusal(_described(error))
    except FaultRuleError as error:
        return _refusal(error)
    return await show_faults(request)


async def drop_faults(request: web.Request) -> web.Response:
    """Let every request be answered as usual again."""
    request.app[FAULTS].replace(())
    return await show_faults(request)


def _described(error: ValidationError) -> FaultRuleError:
    first = error.errors(include_url=False)[0]
    if len(first["loc"]) > 1:
        return error_from_validation(error, "")
    return FaultRuleError(f"expected JSON as {_EXAMPLE}, got another: {first['msg']}")


def _refusal(error: FaultRuleError) -> web.Response:
    return json_response({"error": {"message": str(error)}}, 400)
