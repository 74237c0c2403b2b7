%% SPDX-License-Identifier: Apache-2.0
%% Erlang's side of tests/dist_erlang.py: the process `probe`, which echoes, dials who has closed, and ends.
-module(dist_probe).
-export([start/0]).

start() ->
    register(probe, spawn(fun loop/0)),
    io:format("ready~n").

loop() ->
    receive
        {echo, Pid, Term} -> Pid ! {echoed, Term};
        {dial, Pid, _} ->
            Node = node(Pid),
            true = erlang:monitor_node(Node, true),
            Pid ! {dialling, Node},
            receive {nodedown, Node} -> {inbox, Node} ! {hi, [self(), node()]} end;
        {stop, _, _} -> halt(0)
    end,
    loop().
