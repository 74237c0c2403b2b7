%% SPDX-License-Identifier: Apache-2.0
%% Erlang's side of tests/dist_spawn.py: starts processes on a mote node in all the ways there are, and calls functions there. Each line says what came, and what should have.
-module(dist_spawn).
-export([start/1, hello/1, killed/0, waits/1, prints/1]).

-define(IS(Want, Expression), is(??Expression, fun() -> Expression end, fun(G) -> case G of Want -> true; _ -> false end end)).

is(Text, Does, Fits) ->
    put(number, get(number) + 1),
    Got = try Does() catch Class:Reason -> {Class, Reason} end,
    case Fits(Got) of
        true -> io:format("ok ~b - ~ts~n", [get(number), Text]);
        false -> io:format("not ok ~b - ~ts~n# gave ~0tp~n", [get(number), Text, Got])
    end.

start([Free, Closed]) ->
    put(number, 0),
    process_flag(trap_exit, true),
    spawns(Free), requests(Free), calls(Free), rex(Free), closed(Closed), ours(Free), observes(Free),
    io:format("1..~b~n", [get(number)]),
    halt(0).

next() -> receive M -> M after 60000 -> nothing end.
down(Ref) -> receive {'DOWN', Ref, process, _, Reason} -> Reason after 60000 -> nothing end.
ended(Pid) -> receive {'EXIT', Pid, Reason} -> Reason after 60000 -> nothing end.
told(Pid) -> receive {told, Pid, What} -> What after 60000 -> nothing end.

spawns(N) ->
    P = spawn(N, m, body, [{tell, self(), "Hällo"}]),
    ?IS("Hällo", told(P)),
    P ! {self(), [1, #{a => P}]},
    ?IS([1, #{a := P}], next()),
    M = monitor(process, P),
    P ! {exit, {so, 1}},
    ?IS({so, 1}, down(M)),
    L = spawn_link(N, m, body, [x]),
    L ! {exit, linked},
    ?IS(linked, ended(L)),
    {Q, R} = spawn_monitor(N, m, body, [x]),
    exit(Q, kill),
    ?IS(killed, down(R)),
    {S, T} = spawn_opt(N, m, body, [x], [link, monitor, {priority, low}, {min_heap_size, 1000}, {message_queue_data, off_heap}]),
    S ! {exit, both},
    ?IS({both, both}, {ended(S), down(T)}),
    {_, U} = spawn_monitor(N, m, none, [1, x]),
    ?IS({undef, [{m, none, [1, x], []}]}, down(U)),
    {_, V} = spawn_monitor(N, m, body, [1, 2]),
    ?IS({undef, [{m, body, [1, 2], []}]}, down(V)),
    {_, W} = spawn_monitor(N, fun() -> 1 end),
    ?IS({undef, [{erlang, apply, _, []}]}, down(W)),
    {_, X} = spawn_monitor(N, m, sum, [1, 2]),
    ?IS(normal, down(X)),
    Self = self(),
    {K, KM} = spawn_monitor(fun() -> C = spawn_link(N, m, body, [x]), D = spawn(N, m, body, [x]), Self ! {kids, C, D}, receive die -> exit(boom) end end),
    {kids, C, D} = next(),
    MC = monitor(process, C),
    K ! die,
    ?IS({boom, boom}, {down(KM), down(MC)}),
    ?IS(true, begin D ! {self(), alive}, alive =:= next() end),
    D ! {exit, normal}.

requests(N) ->
    A = spawn_request(N, m, body, [{tell, self(), 1}], [monitor, {reply_tag, started}]),
    {started, A, ok, P} = First = next(),
    ?IS({started, _, ok, _}, First),
    ?IS(1, told(P)),
    P ! {exit, r},
    ?IS(r, down(A)),
    B = spawn_request(N, m, body, [x], [no_such_option]),
    ?IS({spawn_reply, B, error, badopt}, next()),
    C = spawn_request(N, m, body, [{tell, self(), 2}], [link, {reply, no}]),
    Q = receive {told, Pid, 2} -> Pid after 60000 -> none end,
    Q ! {exit, quiet},
    ?IS(quiet, ended(Q)),
    ?IS(true, is_reference(C)).

calls(N) ->
    ?IS(6, rpc:call(N, m, sum, [1, 2, 3])),
    ?IS(0, rpc:call(N, m, sum, [])),
    ?IS(N, rpc:call(N, erlang, node, [])),
    ?IS(<<1, 2>>, rpc:call(N, m, same, [<<1, 2>>])),
    Big = binary:copy(<<7>>, 1000000),
    ?IS(true, Big =:= rpc:call(N, m, same, [Big])),
    ?IS(ok, begin R = self(), Q = spawn_link(fun() -> R ! {result, rpc:call(N, m, body, [{tell, R, hi}])} end),
                receive {told, P, hi} -> P ! {exit, normal} after 60000 -> no end, receive {result, {badrpc, {'EXIT', normal}}} -> ended(Q), ok after 60000 -> no end end),
    ?IS({badrpc, {'EXIT', out}}, rpc:call(N, m, leaves, [out])),
    ?IS({badrpc, {'EXIT', {badarg, [{m, sum, 1, [{file, _}, {line, _}]}]}}}, rpc:call(N, m, sum, [a])),
    ?IS({badrpc, {'EXIT', {undef, [{os, cmd, ["true"], []}]}}}, rpc:call(N, os, cmd, ["true"])),
    ?IS({badrpc, {'EXIT', {undef, [{erlang, halt, [], []}]}}}, rpc:call(N, erlang, halt, [])),
    ?IS({badrpc, timeout}, rpc:call(N, m, waits, [self()], 100)),
    ?IS({waits, _}, next()),
    ?IS({badrpc, {'EXIT', timeout}}, rpc:call(N, m, waits, [self()])),
    ?IS({waits, _}, next()),
    ?IS(3, erpc:call(N, m, sum, [1, 2])),
    ?IS({exit, {exception, out}}, erpc:call(N, m, leaves, [out])),
    ?IS({error, {exception, badarg, [{m, sum, 1, _}]}}, erpc:call(N, m, sum, [a])),
    ?IS({error, {exception, undef, [{m, none, [], []}]}}, erpc:call(N, m, none, [])),
    ?IS({error, {exception, undef, [{erlang, apply, _, []}]}}, erpc:call(N, fun() -> 1 end)),
    ?IS({error, {erpc, timeout}}, erpc:call(N, m, waits, [self()], 100)),
    ?IS({waits, _}, next()),
    ?IS({[{ok, 3}, {ok, 3}], [{error, {exception, undef, _}}]}, {erpc:multicall([N, N], m, sum, [1, 2]), erpc:multicall([N], m, none, [])}),
    ?IS({[3], []}, rpc:multicall([N], m, sum, [1, 2])),
    ?IS({ok, _}, begin ok = erpc:cast(N, m, waits, [self()]), receive {waits, P} -> {ok, P} after 60000 -> no end end),
    ?IS({true, _}, begin true = rpc:cast(N, m, waits, [self()]), receive {waits, P} -> {true, P} after 60000 -> no end end),
    ?IS(ok, erpc:multicast([N], m, waits, [self()])),
    ?IS({waits, _}, next()),
    ?IS({response, 5}, begin I = erpc:send_request(N, m, sum, [2, 3]), erpc:wait_response(I, 60000) end),
    ?IS(9, rpc:yield(rpc:async_call(N, m, sum, [4, 5]))),
    ?IS([10, 20, 30], rpc:pmap({?MODULE, none}, [], []) ++ [rpc:call(N, m, sum, [X]) || X <- [10, 20, 30]]),
    ?IS(true, lists:seq(1, 200) =:= [V || {response, V} <- [erpc:wait_response(I, 60000) || I <- [erpc:send_request(N, m, same, [X]) || X <- lists:seq(1, 200)]]]).

rex(N) ->
    ?IS(6, rpc:block_call(N, m, sum, [1, 2, 3])),
    ?IS({badrpc, {'EXIT', out}}, rpc:block_call(N, m, leaves, [out])),
    ?IS({badrpc, {'EXIT', {undef, [{m, none, [1], []}]}}}, rpc:block_call(N, m, none, [1])),
    ?IS({rex, 7}, begin {rex, N} ! {self(), {call, m, sum, [7], user}}, next() end),
    ?IS({rex, {badrpc, {'EXIT', {undef, _}}}}, begin {rex, N} ! {self(), {call, erl_eval, eval_str, ["1."], user}}, next() end),
    ?IS({[N], []}, rpc:sbcast([N], inbox, hello)),
    ?IS({[], [N]}, rpc:sbcast([N], nobody, hello)),
    ?IS(abcast, rpc:abcast([N], inbox, hello)),
    ?IS({waits, _}, begin gen_server:cast({rex, N}, {cast, m, waits, [self()], group_leader()}), next() end).

%% Who may do nothing is told so, and hangs nowhere.
closed(N) ->
    ?IS({error, denied}, spawn(N, m, body, [x])),
    ?IS({error, denied}, spawn_link(N, m, body, [x])),
    R = spawn_request(N, m, body, [x], [monitor]),
    ?IS({spawn_reply, R, error, denied}, next()),
    ?IS({badrpc, {'EXIT', denied}}, rpc:call(N, m, sum, [1])),
    ?IS({badrpc, {'EXIT', denied}}, rpc:call(N, os, cmd, ["echo ran"])),
    ?IS({error, {erpc, denied}}, erpc:call(N, m, sum, [1])),
    ?IS({badrpc, {'EXIT', denied}}, rpc:block_call(N, m, sum, [1])),
    ?IS({rex, {badrpc, {'EXIT', denied}}}, begin {rex, N} ! {self(), {call, m, sum, [7], user}}, next() end),
    ?IS(pong, net_adm:ping(N)).

%% What is done from the other side.
ours(N) ->
    {inbox, N} ! {run, self(), node()},
    ?IS({ran, 0}, next()).

%% What an operator asks.
observes(N) ->
    P = rpc:call(N, erlang, whereis, [inbox]),
    ?IS(true, is_pid(P) andalso node(P) =:= N),
    ?IS(true, lists:member(P, rpc:call(N, erlang, processes, []))),
    ?IS({message_queue_len, 0}, rpc:call(N, erlang, process_info, [P, message_queue_len])),
    ?IS([{registered_name, inbox}, {status, waiting} | _], rpc:call(N, erlang, process_info, [P])),
    ?IS({badrpc, {'EXIT', {badarg, _}}}, rpc:call(N, erlang, process_info, [P, no_such_item])).

%% Started by the mote node, which is its group leader: what is printed comes to that node's standard output; there is nothing to be read.
prints(Pid) ->
    ok = io:put_chars([<<"chars ">>, "Ä", [$\n]]),
    ok = io:format("~s and ~ts are ~p, ~w ~~ ~5.10b~n", ["text", <<"Ö"/utf8>>, {a, "b"}, [1, 2], 7]),
    ok = io:nl(),
    Pid ! {printed, node(group_leader()) =/= node(), catch io:get_line("")}.

hello(Pid) -> Pid ! {hello, self()}, exit(bye).
killed() -> exit(self(), kill), receive never -> ok end.
waits(Pid) -> process_flag(trap_exit, true), receive {'EXIT', _, Why} -> Pid ! {waits_ended, Why} end.
