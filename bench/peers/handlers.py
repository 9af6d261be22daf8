"""One virtual object per allocation, with one state value. Runs in the peers' own environment, under hypercorn."""

import restate

allocation = restate.VirtualObject("allocation")


async def move(context: restate.ObjectContext, expected: str | None, wanted: str) -> dict[str, str]:
    status = await context.get("status", type_hint=str)
    if status not in {expected, wanted}:
        raise restate.TerminalError(f"it is {status}", status_code=409)
    context.set("status", wanted)
    return {"status": wanted}


@allocation.handler()
async def reserve(context: restate.ObjectContext, _body: dict[str, str]) -> dict[str, str]:
    return await move(context, None, "reserved")


@allocation.handler()
async def clear(context: restate.ObjectContext) -> dict[str, str]:
    return await move(context, "reserved", "cleared")


app = restate.app([allocation])
