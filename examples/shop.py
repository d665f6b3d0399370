"""A shop that packs its orders in the background, and counts its stock by a schedule.

It is an ordinary Celery application; that its worker runs, and goes on after a crash, is looked after.

    python shop.py open          start what is installed, and stop when standard input ends
    python shop.py order N       put an order in the queue, from any other process, and wait for it
    python shop.py orders        list what was packed

Everything it stores goes through the hook, so it does not know which store that is.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from celery import shared_task

from jsorc import CommonService, JsOrc, ServiceState, hookimpl

PACKING = float(os.environ.get("SHOP_PACKING", "0.1"))
"""Seconds that it takes to pack an order."""


@shared_task
def pack(number: int) -> str:
    """Pack an order. It may run again after a crash, so it stores under the number of the order."""
    print(f"packing {number} in {os.getpid()}", flush=True)
    threading.Event().wait(PACKING)
    with JsOrc.src("hook") as hook:
        hook.save_obj(f"order:{number}", {"number": number, "packed_by": os.getpid()})
    return f"order {number} is packed"


@shared_task
def count_stock() -> int:
    """Count what was packed, and store the count."""
    hook = JsOrc.src("hook")
    count = len(hook.list_objs(prefix="order:"))
    hook.save_glob("stock", {"packed": count})
    hook.commit()
    return count


class Listener:
    """Says aloud how the service fares."""

    @hookimpl
    def jsorc_state_changed(self, service: CommonService[Any], new: ServiceState) -> None:
        """Print the new state of the tasks; RUNNING with the process id of the worker."""
        if service.name == "task":
            worker = service.details().get("worker", {}) if new is ServiceState.RUNNING else {}
            print(f"task {new.name} {worker.get('pid', '')}".rstrip(), flush=True)


def open_shop() -> None:
    """Start what is installed, with a schedule, until standard input ends."""
    JsOrc.listen(Listener())
    JsOrc.start()
    schedules = JsOrc.svc("task").schedules  # type: ignore[attr-defined]
    schedules.delete("count the stock")
    schedules.add("count the stock", count_stock, every=1)
    print(f"open, worker {JsOrc.svc('task').details()['worker']['pid']}", flush=True)
    try:
        sys.stdin.read()
    finally:
        JsOrc.stop()


def order(number: int) -> None:
    """Send a task, and wait for what it returns."""
    JsOrc.svc("task").poke()
    sent = pack.delay(number)
    print(f"ordered {number}", flush=True)
    print(sent.get(timeout=120), flush=True)


def list_orders() -> None:
    """List what was packed, and what the schedule has counted."""
    hook = JsOrc.src("hook")
    for found in hook.get_objs(hook.list_objs(prefix="order:")).values():
        print(f"order {found['number']}, packed by {found['packed_by']}")
    print(f"counted {(hook.get_glob('stock') or {}).get('packed', 0)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["open"]:
        open_shop()
    elif sys.argv[1:2] == ["order"] and len(sys.argv) == 3:
        order(int(sys.argv[2]))
    elif sys.argv[1:] == ["orders"]:
        list_orders()
    else:
        raise SystemExit("usage: shop.py open | order N | orders")
