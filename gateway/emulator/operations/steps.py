"""The operations on run steps."""

from gateway.emulator.bodies import reply_objects
from gateway.emulator.bodies.api_errors import not_found
from gateway.emulator.objects import JsonObject
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.lookups import SEARCH_CONTENT, find_page, find_run


def list_run_steps(call: ApiCall) -> JsonObject:
    """Return a page of a run's steps."""
    run = find_run(call)
    steps, has_more = find_page(call, call.store.steps, run.id, "step", "run step")
    with_content = SEARCH_CONTENT in call.includes
    rendered = [reply_objects.render_step(one, call.version, with_search_content=with_content) for one in steps]
    return reply_objects.render_page(rendered, has_more=has_more)


def get_run_step(call: ApiCall) -> JsonObject:
    """Return a step of a run."""
    step_id = call.path_id("step_id")
    run = find_run(call)
    step = call.store.steps.get(call.partition, step_id, parent_id=run.id)
    if step is None:
        raise not_found("run step", step_id)
    return reply_objects.render_step(step, call.version, with_search_content=SEARCH_CONTENT in call.includes)
