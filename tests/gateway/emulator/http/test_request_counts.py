from gateway.emulator.http.request_counts import LOG_LENGTH, LoggedRequest, RequestCounts
from tests.gateway.emulator.api_client import Api


def test_the_log_holds_the_last_thousand_requests_and_the_counts_all() -> None:
    counts = RequestCounts()
    for number in range(LOG_LENGTH + 5):
        counts.record_request(LoggedRequest("getThread", "GET", f"/v1/threads/{number}", 200))
    assert counts.total == counts.by_operation["getThread"] == LOG_LENGTH + 5
    assert len(counts.log) == LOG_LENGTH
    assert counts.log[0].path == "/v1/threads/5"
    counts.record_request(LoggedRequest("getThread", "GET", "/v1/threads/x", 503, "503"))
    assert counts.by_fault == {"503": 1}
    counts.reset()
    assert counts.by_fault == {}
    assert (counts.total, counts.by_operation, counts.log) == (0, {}, ())


async def test_requests_are_counted_by_operation_including_refused_ones(api: Api) -> None:
    thread_id = await api.new_thread("Hello")
    await api.ok("GET", f"/threads/{thread_id}/messages?limit=1")
    await api.call("GET", "/threads/thread_X")
    await api.call("GET", "/nowhere")
    fault = {"fault": None, "client_request_id": None, "traceparent": None}
    reply = await api.client.get("/_emulator/requests")
    assert await reply.json() == {
        "total": 4,
        "by_operation": {"createThread": 1, "listMessages": 1, "getThread": 1, "unknown": 1},
        "by_fault": {},
        "log": [
            {"operation": "createThread", "method": "POST", "path": "/v1/threads", "status": 200, **fault},
            {
                "operation": "listMessages",
                "method": "GET",
                "path": f"/v1/threads/{thread_id}/messages?limit=1",
                "status": 200,
                **fault,
            },
            {"operation": "getThread", "method": "GET", "path": "/v1/threads/thread_X", "status": 404, **fault},
            {"operation": "unknown", "method": "GET", "path": "/v1/nowhere", "status": 404, **fault},
        ],
    }
    assert (await (await api.client.delete("/_emulator/requests")).json())["total"] == 0
