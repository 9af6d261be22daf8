"""BitGo's server as a process of its own, to be killed: python -m tests.support.bitgo_process LEDGER PORT."""

import asyncio
import sys

from bitgo.simulator.ledger import Ledger
from bitgo.simulator.server import serve
from service.errors import EXIT_OPERATOR, OperatorError
from service.logs import log_to_stderr
from tests.support.bitgo_desk import TOKENS, partner


def main() -> None:
    log_to_stderr()
    with Ledger(sys.argv[1]) as ledger:
        try:
            asyncio.run(serve("127.0.0.1", int(sys.argv[2]), ledger, partner(), TOKENS))
        except OperatorError as error:
            print(error, file=sys.stderr)
            sys.exit(EXIT_OPERATOR)


if __name__ == "__main__":
    main()
