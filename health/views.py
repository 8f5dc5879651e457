"""The probes: async views without key, cookie, Host header or SQL.

They read the process's `Readiness` from `scope["state"]["readiness"]`. A process without one is not ready.
"""

from collections.abc import Mapping

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from health.checks import CheckResult
from health.probes import Readiness

OK = {"status": "ok"}
READY = {"status": "ready"}
NOT_READY = {"detail": "Service not ready"}
NO_SUCH_CHECK = {"detail": "There is no check of this name. /readyz?verbose lists them."}


@cache_control(no_store=True)
@require_safe
async def healthz(_request: HttpRequest) -> JsonResponse:
    """Liveness: 200 as long as the event loop answers. It checks no dependency, so none can cause a restart."""
    return _answer(200, OK)


@cache_control(no_store=True)
@require_safe
async def health(_request: HttpRequest) -> JsonResponse:
    """The same answer at the path of earlier versions."""
    return _answer(200, OK)


@cache_control(no_store=True)
@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """Readiness: 200 `{"status": "ready"}`, else 503 `{"detail": "Service not ready"}`.

    `?verbose` adds `"checks"`, a list of `{"name", "status": "ok" | "failed", "detail", "required", "duration_ms",
    "age_s"}`, with the optional checks.
    """
    readiness = _find_readiness(request)
    if readiness is None:
        return _answer(503, NOT_READY)
    is_verbose = "verbose" in request.GET
    report = await readiness.report(with_optional=is_verbose)
    body: Mapping[str, object] = READY if report.is_ready else NOT_READY
    if is_verbose:
        body = {**body, "checks": [_render(check) for check in report.checks]}
    return _answer(200 if report.is_ready else 503, body)


@cache_control(no_store=True)
@require_safe
async def readyz_check(request: HttpRequest, check: str) -> JsonResponse:
    """One check as in `?verbose`: 200 when it passes, 503 when it fails, 404 when there is none of this name."""
    readiness = _find_readiness(request)
    if readiness is None:
        return _answer(503, NOT_READY)
    result = await readiness.find_result(check)
    if result is None:
        return _answer(404, NO_SUCH_CHECK)
    return _answer(200 if result.is_ok else 503, _render(result))


def _find_readiness(request: HttpRequest) -> Readiness | None:
    state = getattr(request, "scope", {}).get("state", {})
    readiness = state.get("readiness")
    return readiness if isinstance(readiness, Readiness) else None


def _render(check: CheckResult) -> dict[str, object]:
    return {
        "name": check.name,
        "status": "ok" if check.is_ok else "failed",
        "detail": check.detail,
        "required": check.is_required,
        "duration_ms": check.duration_ms,
        "age_s": round(check.age_s, 3),
    }


def _answer(status: int, body: Mapping[str, object]) -> JsonResponse:
    response = JsonResponse(body, status=status)
    # No middleware sets it on the lean handler, and an HTTP/1.0 client cannot read a chunked body.
    response.headers["Content-Length"] = str(len(response.content))
    return response
