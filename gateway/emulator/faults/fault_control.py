"""The HTTP route that changes the fault rules of a running emulator. It is off by default."""

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
    """The body of a PUT: the new fault rules, in their order."""

    model_config = ConfigDict(extra="forbid")

    rules: tuple[FaultRule, ...]


def add_fault_control(app: web.Application) -> None:
    """Add the routes that show, replace and delete the application's fault rules."""
    app.router.add_route("GET", FAULTS_PATH, show_faults)
    app.router.add_route("PUT", FAULTS_PATH, replace_faults)
    app.router.add_route("DELETE", FAULTS_PATH, delete_faults)


async def show_faults(request: web.Request) -> web.Response:
    """Return the active rules, each with the number of requests that it matched and that it struck."""
    rules_with_counts = request.app[FAULTS].rules_with_counts
    rules = [{**rule.model_dump(exclude_defaults=True), **asdict(count)} for rule, count in rules_with_counts]
    return json_response({"rules": rules})


async def replace_faults(request: web.Request) -> web.Response:
    """Replace the active rules by those of the body. A bad body changes nothing."""
    try:
        body = FaultRules.model_validate_json(await request.read())
        request.app[FAULTS].replace(body.rules)
    except ValidationError as error:
        return _error_response(_rule_error(error))
    except FaultRuleError as error:
        return _error_response(error)
    return await show_faults(request)


async def delete_faults(request: web.Request) -> web.Response:
    """Delete all active rules."""
    request.app[FAULTS].replace(())
    return await show_faults(request)


def _rule_error(error: ValidationError) -> FaultRuleError:
    first = error.errors(include_url=False)[0]
    if len(first["loc"]) > 1:
        return error_from_validation(error, "")
    return FaultRuleError(f"expected JSON as {_EXAMPLE}, got another: {first['msg']}")


def _error_response(error: FaultRuleError) -> web.Response:
    return json_response({"error": {"message": str(error)}}, 400)
