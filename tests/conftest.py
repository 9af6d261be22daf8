"""Real servers for every test that needs them; which kind is one fixture's business."""

import os
import signal

from local.archive import NO_OPTIMIZING

pytest_plugins = ["tests.support.servers", "tests.support.system", "tests.support.siege"]

# A job in the background inherits SIGINT as ignored and would hand that on to the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Most nodes of the tests live for seconds: Java's optimizing compiler would take a core for as long, and for nothing.
os.environ.setdefault("JDK_JAVA_OPTIONS", NO_OPTIMIZING)
