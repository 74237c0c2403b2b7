# SPDX-License-Identifier: Apache-2.0
"""A job of many processes that srun or mpirun starts, for docs/deploy.md: each is a node with a worker; rank 0 waits for all, divides the work, and prints the sum.

HOSTS are the machines (default: this one alone). The cookie is that of the user's home, which they share.
"""
import os
import re
import socket

import mote
from mote import Atom

N = 1_000_000


class Worker(mote.Server):
    def init(self, rank, count):
        self.rank, self.count = rank, count
        mote.pg.join("workers")

    @mote.call
    def share(self, n):
        return sum(range(self.rank, n, self.count))

    @mote.cast
    def done(self):
        raise mote.Exit("normal")


def place():
    """Which process of how many of which job this is, on which of the hosts."""
    env = os.environ
    rank = env.get("SLURM_PROCID", env.get("OMPI_COMM_WORLD_RANK", "0"))
    count = env.get("SLURM_NTASKS", env.get("OMPI_COMM_WORLD_SIZE", "1"))
    job = re.sub(r"\W", "_", env.get("SLURM_JOB_ID", env.get("PMIX_NAMESPACE", "job")))
    hosts = env.get("HOSTS", "127.0.0.1").split()
    here = env.get("SLURMD_NODENAME", env.get("PMIX_HOSTNAME", ""))
    return int(rank), int(count), job, here if here in hosts else hosts[0], hosts


def lead(cluster, count):
    ref, members = mote.pg.monitor("workers")
    while len(members) < count:
        mote.receive((ref, mote.ANY, mote.ANY, mote.ANY), timeout=60)
        members = mote.pg.members("workers")
    shares = cluster.call("workers", (Atom("share"), N), 60, to="all")
    print(f"{count} processes: {sum(shares.values())}", flush=True)
    refs = [mote.monitor(pid) for pid in members]
    for pid in members:
        mote.cast(pid, Atom("done"))
    for ref in refs:  # who leads goes last
        mote.receive((mote.ANY, ref, mote.ANY, mote.ANY, mote.ANY))


def main():
    rank, count, job, host, hosts = place()
    address = socket.gethostbyname(host)
    with mote.Node(f"{job}-{rank}@{host}", address=address, insecure=True), mote.Cluster(hosts=hosts, prefix=f"{job}-", look=0.5) as cluster:
        worker = Worker.start(rank, count)
        ref = mote.monitor(worker.pid)
        if rank == 0:
            lead(cluster, count)
        mote.receive((mote.ANY, ref, mote.ANY, mote.ANY, mote.ANY))


if __name__ == "__main__":
    main()
