%% SPDX-License-Identifier: Apache-2.0
%% What tests/dist_global.py has an Erlang node do with mote nodes that have global names (tests/dist/global_node.c), which it starts itself: erl ... -run dist_global main PROGRAM ERL_COOKIE
%% Prints TAP. Nodes whose names begin with a are before this one's (tester@...) in what global does, those with z behind.
-module(dist_global).
-export([main/1, mine/3, idle/0, run/1]).
-define(T, 120000).

main(_) ->
    All = tests(),
    halt(min(length([1 || {I, T} <- lists:zip(lists:seq(1, length(All)), All), dist_live:one(I, T) > 0]), 1)).

%% --------------------------------------------------------------------------------------------------- tools

do({N, _}, Command) -> do(N, Command);
do(N, Command) -> {keeper, N} ! erlang:insert_element(1, Command, self()), receive {keeper, N, A} -> A after 40000 -> exit({no_answer, N, Command}) end.
%% The same of one whose connection may end meanwhile, with the question or the answer: then it is `lost`.
ask({N, _}, Command) ->
    receive {keeper, N, _} -> ok after 0 -> ok end,
    erlang:monitor_node(N, true), {keeper, N} ! erlang:insert_element(1, Command, self()),
    A = receive {keeper, N, Answer} -> Answer; {nodedown, N} -> lost after 40000 -> exit({no_answer, N, Command}) end,
    erlang:monitor_node(N, false), receive {nodedown, N} -> ok after 0 -> ok end, A.
told({N, _}) -> receive {told, N, M} -> M after ?T -> exit(not_told) end.
node_of(Kind, Letter) -> apart(dist_live:mote(Letter ++ integer_to_list(erlang:unique_integer([positive])), [{kind, Kind}])).
names(Letter) -> node_of("names", Letter).
victim(Letter) -> apart(dist_live:start_victim(Letter ++ "v" ++ integer_to_list(erlang:unique_integer([positive])))).
%% Over a hidden connection it is told what to do, and no names go.
apart(M = {N, _}) -> true = net_kernel:hidden_connect_node(N), M.
at({N, _}, F) -> {idle, N} ! {run, self(), F}, receive {ran, R} -> R after ?T -> exit(no_victim) end.
run(F) -> F().
alone({N, _}) -> cut(N), N.
cut(N) -> erlang:monitor_node(N, true), erlang:disconnect_node(N), receive {nodedown, N} -> ok after ?T -> exit(no_nodedown) end.
meet({N, _}) ->
    case lists:member(N, nodes(hidden)) of true -> cut(N); false -> ok end,
    until(true, fun() -> net_kernel:connect_node(N) end).
synced(M) -> meet(M), ok = global:sync(), ok = do(M, {sync}), M.

idle() -> receive stop -> ok end.
idler() -> spawn(?MODULE, idle, []).
until(Want, See) -> until(Want, See, 2000).
until(Want, See, 0) -> exit({wants, Want, sees, See()});
until(Want, See, N) -> case See() of Want -> ok; _ -> receive after 10 -> ok end, until(Want, See, N - 1) end.
here(Name, Want) -> until(Want, fun() -> global:whereis_name(Name) end).
there(M, Name, Want) -> until(Want, fun() -> do(M, {whereis, Name}) end).
both(M, Name, Want) -> here(Name, Want), there(M, Name, Want).
clean() -> [global:unregister_name(N) || N <- global:registered_names()], ok.
stop(Ms) -> [dist_live:stop(M) || M <- Ms], clean(), until([], fun() -> nodes(connected) end).
each(F) -> [F(L) || L <- ["a", "z"]], ok.

%% --------------------------------------------------------------------------------------------------- tests

tests() -> [
    {"names of before the connection, ours and theirs", fun() -> each(fun before/1) end},
    {"names of afterwards, from both, and taken ones", fun() -> each(fun later/1) end},
    {"all kinds of names", fun() -> names_of_names() end},
    {"ends of processes, and of nodes", fun() -> each(fun ends/1) end},
    {"messages to names", fun() -> each(fun messages/1) end},
    {"two have a name: one of them is ended", fun() -> each(fun one_is_ended/1) end},
    {"two have a name: one of them is told, or both", fun() -> each(fun they_are_told/1) end},
    {"two have a name: a method of one's own", fun() -> each(fun own_method/1) end},
    {"locks", fun() -> each(fun locks/1) end},
    {"two of Erlang's and one of mote's", fun two_and_one/0},
    {"one of Erlang's and two of mote's", fun one_and_two/0},
    {"clusters of two that meet", fun clusters/0},
    {"a connection that ends and comes again", fun() -> each(fun again/1) end},
    {"a visible connection right after a hidden one", fun replaced/0},
    {"half a cluster is nobody's", fun parted/0},
    {"nodes without names hold nothing up", fun without/0},
    {"many at once", fun many/0},
    {"Elixir's :global", fun() -> elixir(os:find_executable("elixir")) end}].

before(L) ->
    M = names(L), E = idler(), yes = global:register_name(erl, E), P = do(M, {idle}), ok = do(M, {register, mote, P, 0}), undefined = do(M, {whereis, erl}),
    synced(M), E = do(M, {whereis, erl}), P = global:whereis_name(mote), [erl, mote] = lists:sort(global:registered_names()), [erl, mote] = lists:sort(do(M, {names})), stop([M]), exit(E, kill), ok.

later(L) ->
    M = synced(names(L)), E = idler(), P = do(M, {idle}),
    yes = global:register_name(erl, E), E = do(M, {whereis, erl}), ok = do(M, {register, mote, P, 0}), P = global:whereis_name(mote),
    no = global:register_name(mote, E), 'MOTE_EBUSY' = do(M, {register, erl, P, 0}), 'MOTE_EBUSY' = do(M, {register, mote, E, 0}),
    P2 = do(M, {idle}), E2 = idler(), yes = global:register_name(theirs, P2), P2 = do(M, {whereis, theirs}), ok = do(M, {register, ours, E2, 0}), E2 = global:whereis_name(ours),
    E3 = idler(), yes = global:re_register_name(mote, E3), E3 = do(M, {whereis, mote}), ok = do(M, {reregister, mote, P, 0}), P = global:whereis_name(mote),
    global:unregister_name(mote), undefined = do(M, {whereis, mote}), ok = do(M, {unregister, erl}), undefined = global:whereis_name(erl),
    yes = global:register_name(mote, E), ok = do(M, {register, erl, P, 0}), E = do(M, {whereis, mote}), P = global:whereis_name(erl), stop([M]), [exit(X, kill) || X <- [E, E2, E3]], ok.

names_of_names() ->
    M = synced(names("a")),
    [begin E = idler(), yes = global:register_name(N, E), E = do(M, {whereis, N}), ok = do(M, {unregister, N}), undefined = global:whereis_name(N), ok = do(M, {register, N, E, 0}), E = global:whereis_name(N), [N] = global:registered_names(), [N] = do(M, {names}), exit(E, kill), both(M, N, undefined) end
     || N <- ['Ärmel', 1, -1, 1.0, 1 bsl 70, <<"binary">>, <<1:3>>, "list", [], {}, {a, [b, {<<"c">>}]}, #{a => <<"b">>, 1 => 1.0}, self(), do(M, {self}), {of_mote, do(M, {self})}, make_ref(), fun lists:map/2]],
    stop([M]), ok.

ends(L) ->
    M = synced(names(L)), E = idler(), P = do(M, {idle}), yes = global:register_name(e, E), [ok = do(M, {register, N, P, 0}) || N <- [m1, m2]],
    exit(E, kill), there(M, e, undefined), ok = do(M, {kill, P}), here(m1, undefined), here(m2, undefined),
    Q = do(M, {idle}), ok = do(M, {register, m3, Q, 0}), Q = global:whereis_name(m3), dist_live:kill9(M), here(m3, undefined),
    N = synced(names(L)), V = victim(L), F = at(V, fun() -> yes = global:register_name(v, whereis(idle)), whereis(idle) end), meet(V), global:sync(), both(N, v, F), dist_live:kill9(V), both(N, v, undefined), stop([N]).

messages(L) ->
    M = synced(names(L)), yes = global:register_name(me, self()), ok = do(M, {register, it, do(M, {self}), 0}), ok = do(M, {send, me, hello}), receive hello -> ok after ?T -> exit(no_message) end,
    global:send(it, {hello, again}), {hello, again} = told(M), 'MOTE_NOMATCH' = do(M, {send, nobody, x}), stop([M]).

%% The process of the node with the smaller name stays.
one_is_ended(L) ->
    [begin M = names(L), E = idler(), P = do(M, {idle}), ok = do(M, {register, x, P, 0}), case Default of true -> yes = global:register_name(x, E); false -> yes = global:register_name(x, E, fun global:random_exit_name/3) end,
        synced(M),
        case L of "a" -> both(M, x, P), until(false, fun() -> is_process_alive(E) end), true = do(M, {alive, P}); "z" -> both(M, x, E), until(false, fun() -> do(M, {alive, P}) end), exit(E, kill) end, stop([M]) end || Default <- [true, false]], ok.

they_are_told(L) ->
    M = names(L), P = do(M, {self}), [ok = do(M, {register, N, P, C}) || {N, C} <- [{one, 1}, {two, 2}]],
    Me = self(), Ear = spawn_link(fun F() -> receive X -> Me ! X, F() end end), yes = global:register_name(one, Me, fun global:random_notify_name/3), yes = global:register_name(two, Ear, fun global:notify_all_name/3), synced(M), both(M, two, undefined), both(M, one, case L of "a" -> P; "z" -> self() end),
    receive {global_name_conflict, two, P} -> ok after ?T -> exit(not_told) end,
    case L of "a" -> receive {global_name_conflict, one} -> ok after ?T -> exit(not_told) end; "z" -> ok end,
    Heard = lists:sort([told(M) || _ <- lists:seq(1, case L of "a" -> 1; "z" -> 2 end)]),
    Heard = case L of "a" -> [{global_name_conflict, two, Ear}]; "z" -> [{global_name_conflict, one}, {global_name_conflict, two, Ear}] end, unlink(Ear), exit(Ear, kill), stop([M]).

%% A method that mote does not know: who has it is asked. The other way round ours is.
mine(_, P, Q) -> max(P, Q).
own_method(L) ->
    V = victim("b"), M = names(L), {VN, _} = V, ok = do(M, {connect, VN}), at(V, fun() -> global:sync() end), ok = do(M, {sync}), P = at(V, fun() -> yes = global:register_name(x, whereis(idle), fun ?MODULE:mine/3), whereis(idle) end),
    P = do(M, {whereis, x}), E = idler(), yes = global:register_name(x, E, fun ?MODULE:mine/3), synced(M), global:sync(), here(x, max(P, E)), there(M, x, max(P, E)),
    until(max(P, E), fun() -> at(V, fun() -> global:whereis_name(x) end) end), dist_live:kill9(V), exit(E, kill), both(M, x, undefined), stop([M]).

locks(L) ->
    V = victim("v"), M = {MN, _} = synced(names(L)), meet(V), global:sync(), ok = do(M, {sync}), {VN, _} = V,
    until(true, fun() -> lists:member(MN, at(V, fun() -> nodes() end)) end),
    true = global:set_lock({r, 1}, [MN], 0), false = at(V, fun() -> global:set_lock({r, 2}, [MN], 0) end), true = at(V, fun() -> global:set_lock({r, 1}, [MN], 0) end),
    true = global:del_lock({r, 1}, [MN]), false = global:set_lock({r, 2}, [MN], 0), true = at(V, fun() -> global:del_lock({r, 1}, [MN]) end), true = global:set_lock({r, 2}, [MN], 0), true = global:del_lock({r, 2}, [MN]),
    true = global:set_lock({all, self()}), false = at(V, fun() -> global:set_lock({all, x}, [VN, MN], 0) end), true = global:del_lock({all, self()}),
    done = global:trans({t, self()}, fun() -> false = at(V, fun() -> global:set_lock({t, 2}, [MN], 0) end), done end),
    {P, R} = spawn_monitor(fun() -> true = global:set_lock({p, 1}, [MN], 0) end), receive {'DOWN', R, process, P, normal} -> ok end, until(true, fun() -> global:set_lock({p, 2}, [MN], 0) end),
    ok = do(M, {set_lock, <<"m">>, []}), false = global:set_lock({<<"m">>, self()}, [node()], 0), false = at(V, fun() -> global:set_lock({<<"m">>, self()}, [VN], 0) end), ok = do(M, {del_lock, <<"m">>, []}),
    true = global:set_lock({<<"m">>, self()}), 'MOTE_TIMEOUT' = do(M, {set_lock, <<"m">>, []}), 'MOTE_TIMEOUT' = do(M, {set_lock, <<"m">>, [node()]}), true = global:del_lock({<<"m">>, self()}), ok = do(M, {set_lock, <<"m">>, [VN, node()]}),
    false = global:set_lock({<<"m">>, self()}, [VN], 0), ok = do(M, {del_lock, <<"m">>, [node(), VN]}), true = global:set_lock({<<"m">>, self()}, [VN, node(), MN], 0), true = global:del_lock({<<"m">>, self()}, [VN, node(), MN]),
    true = at(V, fun() -> global:set_lock({v, 1}, [MN], 0) end), dist_live:kill9(V), until(true, fun() -> global:set_lock({v, 2}, [MN], 0) end), stop([M]).

two_and_one() ->
    V = {VN, _} = victim("v"), M = {MN, _} = names("a"), meet(V), ok = global:sync(), E = idler(), yes = global:register_name(e, E), P = do(M, {idle}), ok = do(M, {register, m, P, 0}), meet(M), ok = global:sync(), ok = do(M, {sync}),
    until(true, fun() -> lists:member(MN, at(V, fun() -> nodes() end)) end), ok = at(V, fun() -> global:sync() end), P = at(V, fun() -> global:whereis_name(m) end), E = do(M, {whereis, e}),
    Q = at(V, fun() -> yes = global:register_name(v, whereis(idle)), whereis(idle) end), Q = do(M, {whereis, v}), ok = do(M, {register, m2, P, 0}), P = at(V, fun() -> global:whereis_name(m2) end), P = global:whereis_name(m2),
    dist_live:kill9(V), until([MN], fun() -> nodes() end), both(M, v, undefined), both(M, e, E), exit(E, kill), true = VN =/= MN, stop([M]).

one_and_two() ->
    A = {AN, _} = synced(names("a")), Z = names("z"), P = do(A, {idle}), ok = do(A, {register, a, P, 0}), Q = do(Z, {idle}), ok = do(Z, {register, z, Q, 0}), ZN = alone(Z), ok = do(A, {connect, ZN}), true = AN =/= ZN,
    until(true, fun() -> lists:member(ZN, nodes()) end), ok = global:sync(), [ok = do(X, {sync}) || X <- [A, Z]], both(A, z, Q), both(Z, a, P), E = idler(), yes = global:register_name(e, E), E = do(Z, {whereis, e}), E = do(A, {whereis, e}),
    ok = do(Z, {register, late, Q, 0}), Q = global:whereis_name(late), Q = do(A, {whereis, late}), dist_live:stop(A), both(Z, a, undefined), both(Z, late, Q), true = lists:member(ZN, nodes()), exit(E, kill), stop([Z]).

clusters() ->
    V = {VN, _} = victim("v"), A = {AN, _} = names("a"), Z = {ZN, _} = names("z"), meet(Z), ok = do(A, {connect, VN}), global:sync(), at(V, fun() -> global:sync() end), [ok = do(X, {sync}) || X <- [A, Z]],
    W = at(V, fun() -> W0 = spawn(?MODULE, idle, []), yes = global:register_name(w, W0), W0 end), W = do(A, {whereis, w}), undefined = global:whereis_name(w), E = idler(), yes = global:register_name(x, E), P = do(A, {idle}), ok = do(A, {register, x, P, 0}), ok = do(A, {register, p, P, 0}), Q = do(Z, {idle}), ok = do(Z, {register, y, Q, 0}),
    at(V, fun() -> yes = global:register_name(y, whereis(idle)) end), [cut(N) || N <- [VN, AN]], meet(A),
    until(lists:sort([VN, AN, ZN]), fun() -> lists:sort(nodes()) end), global:sync(), both(A, x, P), both(Z, x, P), both(A, p, P), until(false, fun() -> is_process_alive(E) end),
    until(true, fun() -> case {global:whereis_name(y), do(A, {whereis, y}), do(Z, {whereis, y})} of {Y, Y, Y} when is_pid(Y), node(Y) =:= VN -> true; O -> O end end), until(false, fun() -> do(Z, {alive, Q}) end), dist_live:kill9(V), stop([A, Z]).

again(L) ->
    M = {N, _} = synced(names(L)), E = idler(), P = do(M, {idle}), yes = global:register_name(e, E), ok = do(M, {register, m, P, 0}), P = global:whereis_name(m),
    [begin erlang:monitor_node(N, true), case I rem 2 of 0 -> erlang:disconnect_node(N); 1 -> {keeper, N} ! {idler(), disconnect, node()} end, receive {nodedown, N} -> ok after ?T -> exit(no_nodedown) end,
        until(true, fun() -> net_kernel:connect_node(N) end), I rem 2 =:= 0 andalso global:sync() end || I <- lists:seq(1, 12)],
    global:sync(), both(M, m, P), both(M, e, E), exit(E, kill), stop([M]).

%% The end of the first is read late: names are exchanged once, for that is what Erlang gets along with.
replaced() -> [begin M = names("z"), meet(M), T0 = erlang:monotonic_time(millisecond), ok = global:sync(), case erlang:monotonic_time(millisecond) - T0 of D when D < 30000 -> stop([M]); D -> exit({ms, D}) end end || _ <- lists:seq(1, 10)], ok.

parted() ->
    A = {AN, _} = names("a"), Z = {ZN, _} = names("z"), meet(A), meet(Z), global:sync(), [ok = do(X, {sync}) || X <- [A, Z]], ok = do(A, {connect, ZN}),
    until(false, fun() -> All = lists:member(AN, nodes()) andalso lists:member(ZN, nodes()), All andalso ({keeper, AN} ! {self(), part, ZN}), All end), E = idler(), yes = global:register_name(e, E),
    until({E, E}, fun() -> [net_kernel:connect_node(N) || N <- [AN, ZN]], global:sync(), {ask(A, {whereis, e}), ask(Z, {whereis, e})} end), exit(E, kill), stop([A, Z]).

without() ->
    M = synced(names("a")), Others = [node_of(K, "w") || K <- ["visible", "hidden"]], [meet(O) || O <- Others], {MN, _} = M, [ok = do(O, {connect, MN}) || O <- Others], ok = global:sync(), ok = do(M, {sync}),
    P = do(M, {idle}), ok = do(M, {register, m, P, 0}), P = global:whereis_name(m), 'MOTE_ENOPROC' = do(hd(Others), {whereis, m}), [dist_live:stop(O) || O <- Others], both(M, m, P), stop([M]).

many() ->
    A = synced(names("a")), Z = synced(names("z")), Me = self(), {AN, _} = A, {ZN, _} = Z,
    Ps = [spawn_link(fun() -> [yes = global:register_name({N, I}, idler()) || I <- lists:seq(1, 20)], Me ! done end) || N <- lists:seq(1, 3)],
    [{keeper, N} ! {Me, register, {N, I}, Me, 0} || N <- [AN, ZN], I <- lists:seq(1, 20)],
    [receive done -> ok after 60000 -> exit(slow) end || _ <- Ps], [receive {keeper, N, ok} -> ok after 60000 -> exit(slow) end || N <- [AN, ZN], _ <- lists:seq(1, 20)],
    100 = length(global:registered_names()), [100 = length(do(M, {names})) || M <- [A, Z]], stop([A, Z]).

elixir(false) -> {ok, "SKIP it is not installed"};
elixir(Program) ->
    M = {N, _} = names("a"), P = do(M, {idle}), ok = do(M, {register, m, P, 0}),
    Code = io_lib:format("Node.connect(:\"~s\"); :global.sync(); p = :global.whereis_name(:m); :yes = :global.re_register_name(:x, p); IO.puts(inspect({node(p), GenServer.whereis({:global, :m}) == p})); System.halt(0)", [N]),
    Port = open_port({spawn_executable, Program}, [{args, ["--name", "elixir@127.0.0.1", "--cookie", get(cookie), "--erl", "-start_epmd false", "-e", lists:flatten(Code)]}, {line, 300}, exit_status, use_stdio]),
    Want = lists:flatten(io_lib:format("{:\"~s\", true}", [N])), receive {Port, {data, {eol, Want}}} -> ok after 60000 -> exit({elixir, process_info(self(), messages)}) end,
    receive {Port, {exit_status, 0}} -> ok after ?T -> exit(no_end) end, meet(M), global:sync(), both(M, x, P), stop([M]).
