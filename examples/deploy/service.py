# SPDX-License-Identifier: Apache-2.0
"""A service of several nodes, for docs/deploy.md: each has a worker in the group "workers", and says how many there are whenever that changes.

NODE_ADDRESS is where this node is to be found; NODES are names of others, or NODES_DNS is alive@name of all; MOTE_COOKIE_FILE has the secret, and the folder NODE_TLS certificates
(`mote cert` makes them); without one, what is said can be read and changed on the way.
"""
import os
import signal
import sys

import mote


class Worker(mote.Server):
    def init(self):
        mote.pg.join("workers")

    @mote.call
    def where(self):
        return mote.node()


def main():
    address, dns, tls = os.environ.get("NODE_ADDRESS", "127.0.0.1"), os.environ.get("NODES_DNS"), os.environ.get("NODE_TLS")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as a container's first process it would not end otherwise
    node = mote.Node(f"app@{address}", address=address, tls=tls, insecure=tls is None, port=int(os.environ.get("NODE_PORT", "0")))
    with node, mote.Cluster(os.environ.get("NODES", "").split(), dns=[dns] if dns else [], look=float(os.environ.get("NODES_LOOK", "5"))) as cluster:
        Worker.start()
        ref, _ = mote.pg.monitor("workers")
        while True:
            there = sorted(answer.decode() if isinstance(answer, bytes) else str(answer) for answer in cluster.call("workers", "where", to="all").values())
            print(f"{node.name}: {len(there)} workers: {' '.join(there)}", flush=True)
            mote.receive((ref, mote.ANY, mote.ANY, mote.ANY))


if __name__ == "__main__":
    main()
