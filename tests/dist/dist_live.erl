%% SPDX-License-Identifier: Apache-2.0
%% What tests/dist_node.py has an Erlang node do with mote nodes (tests/dist/node.c), which it starts itself: erl ... -run dist_live main PROGRAM ERL_COOKIE
%% Prints TAP. What it starts it ends, by number.
-module(dist_live).
-export([main/1, victim/1, init/1, handle_call/3, handle_cast/2]).
-export([one/2, mote/2, stop/1, kill9/1, start_victim/1]). % for tests of other kinds
-define(T, 120000).
-define(TICK, 4000).

main([Program, Cookie]) ->
    process_flag(trap_exit, true),
    put(program, Program), put(cookie, Cookie),
    All = case init:get_argument(mote_tls) of {ok, _} -> tls_tests(); error -> tests() end,
    Bad = lists:sum([one(I, T) || {I, T} <- lists:zip(lists:seq(1, length(All)), All)]),
    halt(min(Bad, 1)).

one(I, {Name, F}) ->
    {Pid, M} = spawn_monitor(fun() -> process_flag(trap_exit, true), put_all(), exit({result, F()}) end),
    receive {'DOWN', M, process, Pid, Why} -> ok end,
    case Why of
        {result, ok} -> io:format("ok ~b - ~s~n", [I, Name]), 0;
        {result, {ok, Note}} -> io:format("ok ~b - ~s # ~s~n", [I, Name, Note]), 0;
        _ -> io:format("not ok ~b - ~s~n# ~p~n", [I, Name, Why]), 1
    end.
put_all() ->
    {ok, [[P]]} = init:get_argument(mote_program), {ok, [[C]]} = init:get_argument(mote_cookie), put(program, P), put(cookie, C), [put(tls, D) || {ok, [[D]]} <- [init:get_argument(mote_tls)]].

%% --------------------------------------------------------------------------------------------------- nodes

mote(Short) -> mote(Short, []).
mote(Short, Options) ->
    Name = Short ++ "@127.0.0.1",
    Get = fun(K, D) -> proplists:get_value(K, Options, D) end,
    Args = [Name, Get(cookie, get(cookie)), integer_to_list(Get(rights, 0)), integer_to_list(Get(tick, 60000)), Get(kind, "hidden")] ++ ["tls=" ++ D || D <- [Get(tls, get(tls))], is_list(D)],
    Port = open_port({spawn_executable, get(program)}, [{args, Args}, {line, 200}, exit_status, use_stdio]),
    receive {Port, {data, {eol, "ready"}}} -> ok after ?T -> exit({does_not_start, Name}) end,
    {list_to_atom(Name), Port}.

os_pid(Port) -> {os_pid, Pid} = erlang:port_info(Port, os_pid), integer_to_list(Pid).
signal(Port, Which) -> os:cmd("kill -" ++ Which ++ " " ++ os_pid(Port)).
%% Ends one by its input.
stop({Node, Port}) ->
    monitor_node(Node, true), Port ! {self(), close}, receive {nodedown, Node} -> ok after ?T -> exit({does_not_end, Node}) end,
    receive {Port, closed} -> ok after ?T -> exit(closed) end, flush().
kill9({_, Port}) -> unlink(Port), signal(Port, "KILL"), receive {Port, {exit_status, _}} -> ok after ?T -> exit(status) end.

servant(Node) -> servant(Node, none).
servant(Node, Name) -> {keeper, Node} ! {self(), new, Name}, receive {servant, P} -> P after ?T -> exit(no_servant) end.
alive(P) -> {keeper, node(P)} ! {self(), alive, P}, receive {alive, A} -> A after ?T -> exit(no_keeper) end.

%% A second Erlang node, that can be killed.
start_victim(Short) -> start_victim(Short, case get(tls) of undefined -> []; _ -> tls_flags("good") end).
start_victim(Short, More) ->
    Erl = os:find_executable("erl"),
    Port = open_port({spawn_executable, Erl}, [{args, ["+S", "1", "-noinput", "-name", Short ++ "@127.0.0.1", "-setcookie", get(cookie), "-start_epmd", "false", "-kernel", "net_ticktime", integer_to_list(net_kernel:get_net_ticktime()),
        "-pa", filename:dirname(code:which(?MODULE)), "-run", ?MODULE_STRING, "victim", atom_to_list(node()) | More]}, {line, 200}, exit_status, use_stdio]),
    receive {Port, {data, {eol, "ready"}}} -> ok after ?T -> exit(no_victim) end,
    {list_to_atom(Short ++ "@127.0.0.1"), Port}.
-spec victim([string()]) -> no_return().
victim([_Parent]) ->
    register(idle, self()), io:format("ready~n"),
    [io:format("~p~n", [net_kernel:connect_node(list_to_atom(N))]) || {ok, [[N]]} <- [init:get_argument(victim_dials)]], idle().
%% How Erlang has TLS with the certificates of that name: tests/dist_node.py writes the files.
tls_flags(Which) -> {ok, [[Dir]]} = init:get_argument(mote_options), ["-proto_dist", "inet_tls", "-ssl_dist_optfile", filename:join(Dir, Which ++ ".conf")].
idle() -> receive {F, Bin} when is_pid(F) -> F ! {self(), Bin}, idle(); {run, F, Do} -> F ! {ran, Do()}, idle(); {die, R} -> exit(R); _ -> idle() end.

ask(P, Command) -> P ! erlang:insert_element(1, Command, self()), from(P).
from(P) -> from(P, ?T).
from(P, T) -> receive {P, A} -> A; {P, A, B} -> {A, B} after T -> exit({no_answer, P}) end.
msg() -> receive {P, _} = M when is_pid(P) -> M; M -> M after ?T -> exit(no_message) end.
down(M) -> receive {'DOWN', M, process, O, R} -> {O, R} after ?T -> exit(no_down) end.
flush() -> receive _ -> flush() after 0 -> ok end.
none() -> receive M -> exit({unexpected, M}) after 0 -> ok end.
%% What P has sent before this has come.
settle(P) -> settled = ask(P, {echo, settled}), ok.
ms() -> erlang:monotonic_time(millisecond).

%% --------------------------------------------------------------------------------------------------- tests

%% So soon this node takes silence for the end, in seconds; as a rule late, for a machine may be slow.
ticks(S) -> net_kernel:set_net_ticktime(S, 0), ticks_are(S).
ticks_are(S) -> case net_kernel:get_net_ticktime() of S -> ok; _ -> receive after 10 -> ticks_are(S) end end.
impatient(F) -> ticks(?TICK div 1000), try F() after ticks(60) end.

with(F) -> with([], F).
with(Options, F) ->
    N = mote("m" ++ integer_to_list(erlang:unique_integer([positive])), Options),
    R = F(N), stop(N), R.

tests() -> [
    {"ping", fun() -> with(fun({N, _}) -> pong = net_adm:ping(N), false = lists:member(N, nodes()), true = lists:member(N, nodes(hidden)), ok end) end},
    {"a visible node is in nodes() of visible ones", fun() -> with([{kind, "visible"}], fun({N, _}) -> pong = net_adm:ping(N), V = init:get_argument(hidden) =:= error, V = lists:member(N, nodes()), true = lists:member(N, nodes(connected)), P = servant(N),
        Count = if V -> 1; true -> 0 end, {Count, 1} = ask(P, {nodes}), ok end) end},
    {"connect_node, and a node that there is not", fun() -> with(fun({N, _}) -> true = net_kernel:connect_node(N), true = net_kernel:connect_node(N), false = net_kernel:connect_node('nobody@127.0.0.1'), ok end) end},
    {"it dials us", fun dials/0},
    {"both dial at once", fun both_dial/0},
    {"by pid and by name", fun() -> with(fun({N, _}) -> P = servant(N, 'Ärmel'), ok = send(P, P), ok = send(P, {'Ärmel', N}), {nobody, N} ! lost, settle(P), none() end) end},
    {"all kinds of terms are echoed", fun() -> with(fun terms/1) end},
    {"links: reasons", fun() -> with(fun links/1) end},
    {"links: theirs to ours", fun() -> with(fun links_of_theirs/1) end},
    {"monitors by pid and name", fun() -> with(fun monitors/1) end},
    {"monitors: theirs of ours", fun() -> with(fun monitors_of_theirs/1) end},
    {"exit/2 without the right", fun() -> with(fun({N, _}) -> P = servant(N), exit(P, kill), exit(P, shutdown), settle(P), true = alive(P), ok end) end},
    {"exit/2 with the right", fun() -> with([{rights, 1}], fun exits/1) end},
    {"gen_server:call to a mote process", fun() -> with(fun calls/1) end},
    {"a mote process calls a gen_server", fun() -> with(fun calls_of_theirs/1) end},
    {"a closed alias drops what is late", fun() -> with(fun aliases/1) end},
    {"100,000 messages in order each way", fun() -> with(fun order/1) end},
    {"100 MB, and small calls meanwhile", fun() -> with(fun large/1) end},
    {"kill -9 of a mote node is noticed", fun killed/0},
    {"kill -9 of an Erlang node is noticed", fun killed_erlang/0},
    {"silence of a mote node", fun() -> impatient(fun silence/0) end},
    {"silence of an Erlang node", fun() -> impatient(fun silence_erlang/0) end},
    {"L16 who sends too much to a silent node stands still until it is lost", fun() -> impatient(fun crowded/0) end},
    {"L17 nodedown comes after all that a killed node had sent", fun streaming/0},
    {"L20 link and unlink, then the end", fun() -> with(fun unlinks/1) end},
    {"L21 large and small of one sender keep their order", fun() -> with(fun interleaved/1) end},
    {"a node whose tick time is longer is heard", fun() -> impatient(fun() -> with(fun heard/1) end) end},
    {"restarted under the same name", fun restarted/0},
    {"disconnect_node", fun() -> with(fun cut/1) end},
    {"wrong cookies", fun cookies/0},
    {"no function is run for who has no right", fun() -> with(fun rpc/1) end}
].

%% Of those above what is different with TLS: how a connection is made, what many and large messages go through, how it ends.
tls_tests() ->
    Few = ["ping", "it dials us", "all kinds of terms are echoed", "L21 large and small of one sender keep their order", "wrong cookies"],
    More = ["both dial at once", "by pid and by name", "monitors by pid and name", "gen_server:call to a mote process", "100,000 messages in order each way",
        "100 MB, and small calls meanwhile", "kill -9 of a mote node is noticed", "restarted under the same name", "disconnect_node"],
    Names = case init:get_argument(mote_few) of {ok, _} -> Few; error -> Few ++ More end,
    [T || {Name, _} = T <- tests(), lists:member(Name, Names)] ++ [
        {"TLS: Erlang's node with the right certificate", fun() -> meets("good", true, true) end},
        {"TLS: one of another authority", fun() -> meets("other", false, false) end},
        {"TLS: one with another host's", fun() -> meets("localhost", false, false) end},
        {"TLS: one with another node's", fun() -> meets("bound", false, false) end},
        {"TLS: one that dials without a certificate", fun() -> meets("none", false, true) end},
        {"TLS: one without TLS", fun() -> meets([], false, false) end},
        {"TLS: Erlang refuses a mote node of another authority", fun() -> {ok, [[Other]]} = init:get_argument(mote_other_tls), with([{tls, Other}], fun({N, _}) -> pang = net_adm:ping(N), ok end) end},
        {"TLS: a mote node cuts Erlang's when its authority is none any more", fun() -> impatient(fun cuts/0) end},
        {"TLS: Erlang does not find a mote node without TLS", fun() -> with([{tls, none}], fun({N, _}) -> pang = net_adm:ping(N), ok end) end}
    ].

%% A node of Erlang's dials a mote node, and is dialled by it.
meets(Which, Dials, IsDialled) ->
    with(fun({N, _}) -> P = servant(N), Short = if Which =:= [] -> "plain"; true -> Which end,
        V = {VN, Port} = start_victim(Short, if Which =:= [] -> []; true -> tls_flags(Which) end ++ ["-victim_dials", atom_to_list(N)]), Want = atom_to_list(Dials),
        receive {Port, {data, {eol, Want}}} -> ok; {Port, {data, {eol, Other}}} when Other =:= "true"; Other =:= "false" -> exit({it_dials, Other}) after ?T -> exit(says_nothing) end,
        IsDialled = ask(P, {connect, VN}), kill9(V), settle(P) end).

%% The files of a mote node are read again: as they were, then with another authority.
cuts() ->
    {ok, [[Other]]} = init:get_argument(mote_other_tls), {ok, [[Dir]]} = init:get_argument(mote_options), Own = filename:join(Dir, "moves"), ok = file:make_dir(Own),
    [{ok, _} = file:copy(filename:join(get(tls), F), filename:join(Own, F)) || F <- ["ca.pem", "cert.pem", "key.pem"]], ok = file:change_mode(filename:join(Own, "key.pem"), 8#400),
    with([{tls, Own}, {tick, ?TICK}], fun({N, _}) -> P = servant(N), monitor_node(N, true), reloaded = ask(P, {reload_tls}), Q = servant(N), settle(Q),
        {ok, _} = file:copy(filename:join(Other, "ca.pem"), filename:join(Own, "ca.pem")), P ! {self(), reload_tls},
        receive {nodedown, N} -> ok after ?T -> exit(not_cut) end, pang = net_adm:ping(N), flush(), ok end).

heard({N, _}) -> pong = net_adm:ping(N), monitor_node(N, true), receive {nodedown, N} -> exit(cut) after 6000 -> monitor_node(N, false), ok end.

send(P, To) -> To ! {self(), echo, {hello, To}}, {hello, To} = from(P), ok.

dials() ->
    with(fun({N, _}) -> P = servant(N), erlang:disconnect_node(N), flush(),
        V = {VN, _} = start_victim("dialled"), Q = servant(N), true = ask(Q, {connect, VN}), Q ! {self(), send, {idle, VN}, {self(), hello}},
        receive {_, hello} -> ok after ?T -> exit(no_hello) end, _ = P, false = ask(Q, {connect, 'nobody@127.0.0.1'}), kill9(V), ok end).

both_dial() ->
    with(fun({N, _}) -> P = servant(N), P ! {self(), watch}, settle(P), [both_once(P, N) || _ <- lists:seq(1, 30)], ok end).
both_once(P, N) ->
    Me = self(), true = ask(P, {monitor_node, node()}), monitor_node(N, true), P ! {Me, dial_when_down, node()}, true = erlang:disconnect_node(N), receive {nodedown, N} -> ok after ?T -> exit(no_nodedown) end,
    met(N, 20), Here = node(), {saw, {nodedown, Here}} = from(P), case from(P) of {dialled, true} -> ok; {dialled, false} -> true = ask(P, {connect, Here}) end, settle(P).

%% Both attempts may be given up for each other (once in 30,000 times at the mote node), and Erlang's own for the other's: then it says false, and the next call true.
met(_, 0) -> exit(never_met);
met(N, Left) -> case net_kernel:connect_node(N) of true -> ok; false -> met(N, Left - 1) end.

terms({N, _}) ->
    P = servant(N), F = fun(X) -> {P, X} end,
    Terms = [0, -1, 1 bsl 27, -(1 bsl 27), 1 bsl 31, 1 bsl 59, -(1 bsl 60), 1 bsl 63, 1 bsl 64, -(1 bsl 64), 1 bsl 3000, 1.5, -0.0, 1.0e300, atom, '', 'Ä', 'й', '名', <<>>, <<1, 2, 3>>, <<1:3>>, <<255:9>>, "", "list",
        lists:seq(1, 1000), [1 | 2], [a, [b | c], {}], {}, {a, {b}}, erlang:make_tuple(300, x), #{}, #{a => 1, [] => #{}, 2 => "x"}, maps:from_list([{I, I} || I <- lists:seq(1, 100)]), self(), P, make_ref(),
        hd(erlang:ports()), F, fun lists:map/2, fun erlang:length/1, binary:copy(<<"x">>, 70000), list_to_tuple(lists:seq(1, 70000)), [{I, integer_to_binary(I)} || I <- lists:seq(1, 5000)], alias(), true, [[[[]]]]],
    [case ask(P, {echo, {same, T}}) of {same, X} when X =:= T -> ok; X -> exit({differs, T, X}) end || T <- Terms], ok.

links({N, _}) ->
    [begin P = servant(N), link(P), P ! {die, R}, receive {'EXIT', P, X} -> X = R after ?T -> exit({no_exit, R}) end end || R <- [normal, boom, {shutdown, [1]}, kill, "text", 1.5]],
    P = servant(N), link(P), unlink(P), P ! {die, x}, M = monitor(process, P), {P, _} = down(M), none(),
    link(P), receive {'EXIT', P, noproc} -> ok after ?T -> exit(no_noproc) end,
    Q = servant(N), {A, AM} = spawn_monitor(fun() -> link(Q), receive after infinity -> ok end end), settle(Q), exit(A, {ours, ends}), {A, {ours, ends}} = down(AM),
    QM = monitor(process, Q), {Q, _} = down(QM), ok.

links_of_theirs({N, _}) ->
    P = servant(N), P ! trap, P ! {self(), watch},
    [begin {A, M} = spawn_monitor(fun() -> receive {die, X} -> exit(X) end end), linked = ask(P, {link, A}), A ! {die, R}, {A, R} = down(M), {saw, {'EXIT', A, R}} = from(P) end || R <- [normal, boom, killed, {a, [b]}]],
    Dead = spawn(fun() -> ok end), DM = monitor(process, Dead), down(DM), linked = ask(P, {link, Dead}), {saw, {'EXIT', Dead, noproc}} = from(P),
    B = spawn(fun() -> receive {die, X} -> exit(X) end end), linked = ask(P, {link, B}), unlinked = ask(P, {unlink, B}), B ! {die, never_told}, settle(P),
    {C, CM} = spawn_monitor(fun() -> receive after infinity -> ok end end), linked = ask(P, {link, C}), P ! {die, theirs}, {C, theirs} = down(CM), none().

monitors({N, _}) ->
    [begin P = servant(N, named), M = monitor(process, P), K = monitor(process, {named, N}), settle(P), P ! {die, R}, {P, R} = down(M), {{named, N}, R} = down(K) end || R <- [normal, boom, {x, "y"}]],
    P = servant(N), M = monitor(process, P), true = demonitor(M, [flush]), P ! {die, x}, {P, _} = down(monitor(process, P)), none(),
    {P, noproc} = down(monitor(process, P)), {{nobody, N}, noproc} = down(monitor(process, {nobody, N})), ok.

monitors_of_theirs({N, _}) ->
    P = servant(N), P ! {self(), watch},
    A = spawn(fun() -> register(watched, self()), receive {die, X} -> exit(X) end end), R = ask(P, {monitor, A}), K = ask(P, {monitor, {watched, node()}}), A ! {die, {why, 1}},
    Saw = lists:sort([from(P), from(P)]), Saw = lists:sort([{saw, {'DOWN', R, process, A, {why, 1}}}, {saw, {'DOWN', K, process, {watched, node()}, {why, 1}}}]),
    R2 = ask(P, {monitor, A}), {saw, {'DOWN', R2, process, A, noproc}} = from(P),
    R3 = ask(P, {monitor, {watched, node()}}), Here = node(), {saw, {'DOWN', R3, process, {watched, Here}, noproc}} = from(P),
    B = spawn(fun() -> receive {die, X} -> exit(X) end end), R4 = ask(P, {monitor, B}), demonitored = ask(P, {demonitor, R4}), B ! {die, x}, settle(P), none().

exits({N, _}) ->
    A = servant(N), MA = monitor(process, A), exit(A, normal), settle(A), exit(A, boom), {A, boom} = down(MA),
    B = servant(N), MB = monitor(process, B), B ! trap, B ! {self(), watch}, settle(B), exit(B, normal), Me = self(), {saw, {'EXIT', Me, normal}} = from(B), exit(B, kill), {B, killed} = down(MB),
    [begin C = servant(N), MC = monitor(process, C), C ! {self(), send, self(), before}, exit(C, good), C ! {self(), send, self(), never}, {C, good} = down(MC) end || _ <- lists:seq(1, 200)],
    receive never -> exit(out_of_order) after 0 -> flush() end,
    D = servant(N), {V, VM} = spawn_monitor(fun() -> receive after infinity -> ok end end), D ! {exit, V, {from, mote}}, {V, {from, mote}} = down(VM), ok.

calls({N, _}) ->
    P = servant(N, server), [{answer, I} = gen_server:call(P, I) || I <- lists:seq(1, 100)], {answer, x} = gen_server:call({server, N}, x),
    {'EXIT', {noproc, _}} = (catch gen_server:call({nobody, N}, x)), P ! {die, gone}, {'EXIT', {_, _}} = (catch gen_server:call({server, N}, y)), ok.

init(_) -> {ok, 0}.
handle_call(crash, _, S) -> {stop, crashed, S};
handle_call(R, _, S) -> {reply, {got, R, S}, S + 1}.
handle_cast(_, S) -> {noreply, S}.
calls_of_theirs({N, _}) ->
    {ok, G} = gen_server:start({local, counter}, ?MODULE, [], []), P = servant(N),
    [{reply, {got, {q, I}, I}} = ask(P, {call, G, {q, I}}) || I <- lists:seq(0, 99)], {reply, {got, x, 100}} = ask(P, {call, {counter, node()}, x}),
    {noproc, crashed} = ask(P, {call, G, crash}), {noproc, noproc} = ask(P, {call, {counter, node()}, x}), {noproc, noconnection} = ask(P, {call, {x, 'nobody@127.0.0.1'}, x}), ok.

aliases({N, _}) ->
    P = servant(N), A = alias(), P ! {self(), send, A, one}, one = msg(), unalias(A), P ! {self(), send, A, two}, settle(P), none(),
    B = alias([reply]), P ! {self(), send, B, one}, P ! {self(), send, B, two}, settle(P), one = msg(), none().

order({N, _}) ->
    P = servant(N), T0 = ms(), P ! {self(), spam, 100000}, [receive I -> ok; X -> exit({wrong, I, X}) after ?T -> exit({lost, I}) end || I <- lists:seq(1, 100000)],
    T1 = ms(), P ! {self(), collect, 100000}, [P ! I || I <- lists:seq(1, 100000)], {wrong, 0} = from(P), {ok, io_lib:format("~b ms, ~b ms", [T1 - T0, ms() - T1])}.

large({N, _}) ->
    P = servant(N), Q = servant(N), Me = self(), Caller = spawn_link(fun() -> small(Q, []) end),
    Bin = binary:copy(<<1:64>>, 12500000), T0 = ms(), Bin = ask(P, {echo, Bin}), T1 = ms(), Caller ! {stop, Me}, L = receive {small, X} -> lists:sort(X) after ?T -> exit(small) end,
    {ok, io_lib:format("~b ms there and back; ~b calls meanwhile, median ~b us, worst ~b us", [T1 - T0, length(L), lists:nth(length(L) div 2 + 1, L), lists:last(L)])}.
small(Q, L) ->
    receive {stop, To} -> To ! {small, L} after 0 ->
        T0 = erlang:monotonic_time(microsecond), {answer, x} = gen_server:call(Q, x, 20000), small(Q, [erlang:monotonic_time(microsecond) - T0 | L]) end.

within(T0, Least, Most) -> D = ms() - T0, if D < Least; D > Most -> exit({after_ms, D, Least, Most}); true -> D end.

killed() ->
    Node = {N, _} = mote("killed"), P = servant(N), M = monitor(process, P), link(P), monitor_node(N, true), settle(P), T0 = ms(), kill9(Node),
    {P, noconnection} = down(M), receive {'EXIT', P, noconnection} -> ok after ?T -> exit(no_exit) end, receive {nodedown, N} -> ok after ?T -> exit(no_nodedown) end, {ok, [integer_to_list(within(T0, 0, 20000)), " ms"]}.

killed_erlang() ->
    with(fun({N, _}) -> V = {VN, _} = start_victim("killed_erlang"), {idle, VN} ! {self(), hello}, VP = receive {I, hello} -> I after ?T -> exit(victim) end, P = servant(N), P ! trap, P ! {self(), watch},
        R = ask(P, {monitor, VP}), linked = ask(P, {link, VP}), true = ask(P, {monitor_node, VN}), T0 = ms(), kill9(V),
        Saw = lists:sort([from(P), from(P), from(P)]), D = within(T0, 0, 20000),
        Saw = lists:sort([{saw, {'DOWN', R, process, VP, noconnection}}, {saw, {'EXIT', VP, noconnection}}, {saw, {nodedown, VN}}]), flush(), {ok, [integer_to_list(D), " ms"]} end).

silence() ->
    Node = {N, Port} = mote("silent"), P = servant(N), M = monitor(process, P), settle(P), T0 = ms(), signal(Port, "STOP"), {P, noconnection} = down(M), D = within(T0, 2900, 30000), signal(Port, "CONT"), kill9(Node),
    {ok, [integer_to_list(D), " ms, of 4000"]}.

silence_erlang() ->
    with([{tick, ?TICK}], fun({N, _}) -> V = {VN, Port} = start_victim("silent_erlang"), P = servant(N), P ! {self(), watch}, R = ask(P, {monitor, {idle, VN}}), P ! {self(), send, {idle, VN}, {self(), hello}},
        receive {_, hello} -> ok after ?T -> exit(victim) end, T0 = ms(), signal(Port, "STOP"), {saw, {'DOWN', R, process, {idle, VN}, noconnection}} = from(P), D = within(T0, ?TICK * 3 div 4 - 20, 30000),
        signal(Port, "CONT"), kill9(V), {ok, io_lib:format("~b ms, of ~b", [D, ?TICK])} end).

crowded() ->
    with([{tick, ?TICK}], fun({N, _}) -> V = {VN, Port} = start_victim("crowded"), P = servant(N), Q = servant(N), P ! {self(), send, {idle, VN}, {self(), hello}}, receive {_, hello} -> ok after ?T -> exit(victim) end,
        Q ! {self(), watch}, true = ask(Q, {monitor_node, VN}),
        Bin = binary:copy(<<0>>, 100000), signal(Port, "STOP"), T0 = ms(), [P ! {self(), send, {idle, VN}, Bin} || _ <- lists:seq(1, 300)], P ! {self(), echo, freed},
        {saw, {nodedown, VN}} = from(Q), D = within(T0, 2900, 30000), receive {P, freed} -> exit(not_suspended) after 0 -> ok end,
        signal(Port, "CONT"), freed = from(P), kill9(V), {ok, [integer_to_list(D), " ms, of 4000"]} end).

streaming() ->
    Node = {N, _} = mote("streaming"), P = servant(N), monitor_node(N, true), P ! {self(), spam, 100000000}, receive 1 -> ok after ?T -> exit(no_message) end, kill9(Node), L = stream(N, 1),
    receive I when is_integer(I) -> exit({after_nodedown, I}) after 0 -> {ok, [integer_to_list(L), " messages"]} end.
stream(N, I) -> receive {nodedown, N} -> I; X when X =:= I + 1 -> stream(N, X); X when is_integer(X) -> exit({wrong, I, X}) after ?T -> exit(no_nodedown) end.

unlinks({N, _}) ->
    Me = self(),
    [begin C = servant(N), C ! {Me, link, Me}, C ! {Me, unlink, Me}, M = monitor(process, C), C ! {die, boom}, {C, boom} = down(M), receive {'EXIT', C, _} -> exit(told) after 0 -> ok end end || _ <- lists:seq(1, 300)],
    [begin C = servant(N), C ! {Me, link, Me}, C ! {die, boom}, receive {'EXIT', C, boom} -> ok after ?T -> exit(not_told) end end || _ <- lists:seq(1, 300)], flush().

interleaved({N, _}) ->
    P = servant(N), Bins = [binary:copy(<<I>>, 5000000) || I <- lists:seq(1, 10)], [begin P ! {self(), echo, B}, P ! {self(), echo, small} end || B <- Bins],
    [begin B = from(P), small = from(P) end || B <- Bins], ok.

restarted() ->
    A = {N, _} = mote("again"), P = servant(N), settle(P), kill9(A), {P, _} = down(monitor(process, P)), B = mote("again"), Q = servant(N), settle(Q), [servant(N) || _ <- lists:seq(1, 50)],
    P ! {self(), echo, lost}, {P, noproc} = down(monitor(process, P)), link(P), receive {'EXIT', P, noproc} -> ok after ?T -> exit(no_exit) end, unlink(P), exit(P, kill), settle(Q), none(), stop(B), ok.

cut({N, _}) ->
    P = servant(N), P ! trap, P ! {self(), watch}, Me = self(), link(P), linked = ask(P, {link, Me}), R = ask(P, {monitor, Me}), M = monitor(process, P), true = erlang:disconnect_node(N),
    {P, noconnection} = down(M), receive {'EXIT', P, noconnection} -> ok after ?T -> exit(no_exit) end,
    Saw = lists:sort([from(P), from(P)]), Saw = lists:sort([{saw, {'DOWN', R, process, Me, noconnection}}, {saw, {'EXIT', Me, noconnection}}]),
    settle(P), P ! {die, x}, {P, _} = down(monitor(process, P)), none(),
    Q = servant(N), K = monitor(process, Q), Q ! {self(), disconnect, node()}, {Q, noconnection} = down(K), settle(Q), ok.

cookies() ->
    with([{cookie, "another one"}], fun({N, _}) -> pang = net_adm:ping(N), false = net_kernel:connect_node(N), true = erlang:set_cookie(N, 'another one'), pong = net_adm:ping(N), P = servant(N),
        V = {VN, _} = start_victim("other_cookie"), false = ask(P, {connect, VN}), kill9(V), ok end).

rpc({N, _}) ->
    {badrpc, _} = rpc:call(N, os, getpid, []), {'EXIT', _} = (catch erpc:call(N, os, getpid, [])), {'EXIT', {denied, _}} = (catch spawn_monitor(N, os, getpid, [])), {'EXIT', {denied, _}} = (catch spawn(N, os, getpid, [])), {ok, "denied"}.
