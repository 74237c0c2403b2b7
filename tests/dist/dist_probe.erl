%% SPDX-License-Identifier: Apache-2.0
%% Erlang's side of tests/dist_erlang.py: the process `probe`, which echoes, dials who has closed, has other programs dial, and ends.
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
        {call, Pid, Node} -> run(Pid, "erl_call -c " ++ cookie() ++ " -n " ++ atom_to_list(Node) ++ " -a 'mote hello [x]'");
        {nameless, Pid, Node} ->
            Does = io_lib:format("true = net_kernel:connect_node('~s'), monitor_node('~s', true), {inbox, '~s'} ! {hi, node()}, receive {nodedown, _} -> halt() end", [Node, Node, Node]),
            run(Pid, "erl +S 1 -noinput -dist_listen false -sname undefined -setcookie " ++ cookie() ++ " -eval \"" ++ Does ++ "\"");
        {stop, _, _} -> halt(0)
    end,
    loop().

cookie() -> atom_to_list(erlang:get_cookie()).

%% Another program, which connects to them; they are told what it says.
run(Pid, Command) -> spawn(fun() -> Pid ! {said, list_to_binary(os:cmd(Command))} end).
