"""Real servers for every test that needs them; which kind is one fixture's business."""

pytest_plugins = ["tests.support.servers", "tests.support.system"]
