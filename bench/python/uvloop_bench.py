# SPDX-License-Identifier: Apache-2.0
"""asyncio on uvloop."""
import asyncio_bench
import uvloop

if __name__ == "__main__":
    asyncio_bench.main(uvloop.new_event_loop())
