%% SPDX-License-Identifier: Apache-2.0
%% What the C scenarios of this folder are ported from: behaviour of processes on Erlang itself. Prints one line for each:
%%     <id> <result>
%% A result is a list of words, never a pid, a reference or a time, so that lines can be compared.
-module(conf).
-behaviour(supervisor).
-export([main/1, manifest/0, init/1, sc/0]).
-export([kid/2, kid_loop/1, ident/1, node_echo/0, node_loop/0, node_proxy/1, spam/3, big/2, two/1]).

-define(T, 8000).                      % inner receive limit, ms

%% ------------------------------------------------------------------ driver
main(Args) ->
    process_flag(trap_exit, true),
    logger:set_primary_config(level, none),
    L = [S || {Id, _, _, _} = S <- sc(), Args =:= [] orelse lists:any(fun(P) -> lists:prefix(P, Id) end, Args)],
    lists:foreach(fun({Id, _, _, F}) ->
                          io:format("~s ~s~n", [Id, r(run(F))])
                  end, L),
    halt(0).

manifest() ->
    [io:format("~s\t~s\t~s~n", [Id, Tier, St]) || {Id, Tier, St, _} <- sc()],
    halt(0).

run(F) ->
    Me = self(), R = make_ref(),
    {P, M} = spawn_monitor(fun() -> Me ! {R, catch_all(F)} end),
    receive
        {R, V} -> demonitor(M, [flush]), V;
        {'DOWN', M, _, _, Why} -> {harness_died, reason(Why)}
    after 60000 ->
            exit(P, kill), demonitor(M, [flush]), hang
    end.

catch_all(F) -> try F() catch C:E -> {caught, C, reason(E)} end.

%% canonical rendering
r(T) when is_tuple(T) -> join([r(X) || X <- tuple_to_list(T)], ":");
r([]) -> "none";
r(L) when is_list(L) -> join([r(X) || X <- L], ",");
r(A) when is_atom(A) -> atom_to_list(A);
r(I) when is_integer(I) -> integer_to_list(I);
r(B) when is_binary(B) -> binary_to_list(B);
r(P) when is_pid(P) -> "PID";
r(P) when is_reference(P) -> "REF";
r(F) when is_float(F) -> io_lib:format("~.1f", [F]).
join(L, S) -> lists:flatten(lists:join(S, L)).

reason({R, [{_, _, _, _} | _]}) -> {error, r2(R)};      % {Reason, Stack}
reason(R) -> r2(R).
r2({nocatch, X}) -> {nocatch, X};
r2(R) when is_atom(R); is_integer(R) -> R;
r2({A, B}) when is_atom(A), is_atom(B) -> {A, B};
r2({A, _}) when is_atom(A) -> A;
r2(_) -> other.

n() -> n(1000).
n(D) -> case os:getenv("CONF_N") of false -> D; S -> max(20, D * list_to_integer(S) div 1000) end.

%% ------------------------------------------------------------------ tools
forever() -> receive after infinity -> ok end.
idle() -> spawn(fun forever/0).
down(M) -> receive {'DOWN', M, _, _, R} -> R after ?T -> no_down end.
gone(P) -> down(monitor(process, P)).
dead() -> {P, M} = spawn_monitor(fun() -> ok end), normal = down(M), P.
msg() -> msg(?T).
msg(T) -> receive X -> X after T -> nothing end.
rest() -> receive X -> [X | rest()] after 0 -> [] end.
settle() -> receive after 30 -> ok end.
trap() -> process_flag(trap_exit, true).
count(F, N) -> length([x || I <- lists:seq(1, N), F(I) =/= true]).
viol(F, N) -> {violations, count(F, N)}.
ident(X) -> X.
%% run F in a fresh non-trapping process P under monitor; return its reason
die(F) -> {_, M} = spawn_monitor(F), reason(down(M)).
ms() -> erlang:monotonic_time(millisecond).
bad(F) -> try F(), no_error catch error:E -> reason(E) end.
e(P, {'EXIT', P, R}) -> {'EXIT', reason(R)};
e(_, X) -> X.

%% ------------------------------------------------------------------ table
sc() -> a() ++ b() ++ c() ++ d() ++ e_() ++ f() ++ g() ++ h() ++ i() ++ j() ++ k() ++ m() ++ l().

a() -> [
{"A01", core, "One sender, one receiver: 100000 messages arrive in send order", fun() ->
    Me = self(), N = 100000,
    spawn(fun() -> [Me ! X || X <- lists:seq(1, N)] end),
    viol(fun(X) -> receive Y -> X =:= Y after ?T -> false end end, N) end},
{"A02", core, "exit/2 is ordered with messages of the same sender: what is sent before it arrives, what is sent after it never does", fun() ->
    viol(fun(_) ->
        {P, M} = spawn_monitor(fun() -> a02() end),
        P ! may, P ! may, exit(P, good), P ! mustnot, P ! mustnot,
        good =:= down(M) end, n()) end},
{"A03", core, "Messages sent before exiting arrive before the link 'EXIT' message", fun() ->
    trap(), Me = self(),
    viol(fun(_) -> C = spawn_link(fun() -> Me ! 1, Me ! 2, exit(bye) end),
        [msg(), msg(), msg()] =:= [1, 2, {'EXIT', C, bye}] end, n()) end},
{"A04", core, "Messages sent before exiting arrive before 'DOWN'", fun() ->
    Me = self(),
    viol(fun(_) -> {C, M} = spawn_monitor(fun() -> Me ! 1, Me ! 2 end),
        [msg(), msg(), msg()] =:= [1, 2, {'DOWN', M, process, C, normal}] end, n()) end},
{"A05", core, "Eight concurrent senders: each sender's own order is kept", fun() ->
    Me = self(), K = 5000,
    Ps = [spawn(fun() -> [Me ! {self(), X} || X <- lists:seq(1, K)] end) || _ <- lists:seq(1, 8)],
    [put(P, 0) || P <- Ps],
    viol(fun(_) -> receive {P, X} -> O = get(P), put(P, X), X =:= O + 1 after ?T -> false end end, 8 * K) end},
{"A06", core, "Order is kept across address forms: pid, name, {name,node} and alias of the same receiver", fun() ->
    register(conf_a06, self()), A = alias(), Me = self(), N = 2000,
    spawn(fun() -> spam([Me, conf_a06, {conf_a06, node()}, A], 1, N) end),
    V = viol(fun(X) -> receive Y -> X =:= Y after ?T -> false end end, N),
    unregister(conf_a06), V end},
{"A07", core, "Selective receive takes the first match and leaves the others in order", fun() ->
    [self() ! X || X <- [1, 2, 3, 4, 5]],
    receive 3 -> ok after ?T -> no end, receive 5 -> ok after ?T -> no end, rest() end},
{"A08", core, "Sending to a dead pid succeeds silently and yields the message", fun() -> dead() ! x end},
{"A09", core, "Sending to an unregistered local name raises badarg; to {name,node} it is silent", fun() ->
    [bad(fun() -> conf_nobody ! x end), {conf_nobody, node()} ! y] end},
{"A10", core, "link, unlink, exit in a row: the peer never sees the exit", fun() ->
    viol(fun(_) -> V = idle(),
        {_, M} = spawn_monitor(fun() -> link(V), unlink(V), exit(boom) end),
        boom = down(M), X = is_process_alive(V), exit(V, kill), X end, n()) end},
{"A11", core, "link then exit at once: the peer gets the real reason, never noproc", fun() ->
    trap(), Me = self(),
    viol(fun(_) -> C = spawn(fun() -> link(Me), exit(boom) end),
        msg() =:= {'EXIT', C, boom} end, n()) end},
{"A12", core, "exit(P,kill) then is_process_alive(P) by the same caller is always false", fun() ->
    viol(fun(_) -> P = idle(), exit(P, kill), not is_process_alive(P) end, n()) end},
{"A13", core, "DOWN of a process monitored by name is ordered after all its messages by pid, name and alias", fun() ->
    Me = self(), register(conf_a13, Me), A = alias(),
    V = viol(fun(_) ->
        S = spawn(fun() -> register(conf_a13s, self()), Me ! up,
                           receive {go, AM} -> spam([Me, conf_a13, A, AM], 1, 100) end end),
        up = msg(), AM = monitor(process, conf_a13s, [{alias, explicit_unalias}]),
        S ! {go, AM},
        Ok = count(fun(X) -> msg() =:= X end, 100) =:= 0,
        D = msg(), unalias(AM),
        Ok andalso D =:= {'DOWN', AM, process, {conf_a13s, node()}, normal} end, n(200)),
    unregister(conf_a13), V end},
{"A14", note, "A message to oneself is in the mailbox at once (observed, not promised)", fun() ->
    viol(fun(X) -> self() ! X, receive X -> true after 0 -> false end end, n()) end}
].
a02() -> receive may -> ok; mustnot -> exit(bad) after 0 -> ok end, a02().
spam(_, I, N) when I > N -> ok;
spam([H | T], I, N) -> H ! I, spam(T ++ [H], I + 1, N).

b() -> [
{"B01", core, "Linked peer exits normal, receiver not trapping: survives, no message", fun() ->
    {P, M} = spawn_monitor(fun() -> spawn_link(fun() -> ok end), settle(), exit({alive, length(rest())}) end),
    _ = P, {alive, K} = down(M), {alive, K} end},
{"B02", core, "Linked peer exits abnormally, receiver not trapping: dies with the same reason", fun() ->
    die(fun() -> spawn_link(fun() -> exit(boom) end), forever() end) end},
{"B03", core, "Trapping: normal exit of a linked peer becomes {'EXIT',P,normal}", fun() ->
    trap(), C = spawn_link(fun() -> ok end), e(C, msg()) end},
{"B04", core, "Trapping: abnormal exit of a linked peer becomes {'EXIT',P,Reason}; receiver lives", fun() ->
    trap(), C = spawn_link(fun() -> exit(boom) end), e(C, msg()) end},
{"B05", core, "exit(P,normal) to another, non-trapping process is ignored", fun() ->
    P = idle(), exit(P, normal), settle(), {alive, is_process_alive(P)} end},
{"B06", core, "exit(P,normal) to a trapping process becomes {'EXIT',Sender,normal}", fun() ->
    Me = self(), P = spawn(fun() -> trap(), Me ! up, X = msg(), Me ! {got, X} end),
    up = msg(), exit(P, normal), {got, X} = msg(), e(Me, X) end},
{"B07", core, "exit(self(),normal), not trapping: terminates with normal", fun() ->
    die(fun() -> exit(self(), normal), settle(), exit(still_alive) end) end},
{"B08", core, "exit(self(),normal), trapping: a message, no death", fun() ->
    trap(), exit(self(), normal), e(self(), msg()) end},
{"B09", core, "exit(P,kill) cannot be trapped; P dies with killed", fun() ->
    Me = self(), {P, M} = spawn_monitor(fun() -> trap(), Me ! up, forever() end),
    up = msg(), exit(P, kill), down(M) end},
{"B10", core, "Peers linked to a killed process see killed: trapping gets a message, non-trapping dies with killed", fun() ->
    trap(), V = idle(), link(V),
    {_, M} = spawn_monitor(fun() -> link(V), forever() end), settle(),
    exit(V, kill), [e(V, msg()), down(M)] end},
{"B11", core, "exit(kill) by the process itself: reason stays kill, linked trapper gets kill as message", fun() ->
    trap(), C = spawn_link(fun() -> exit(kill) end), e(C, msg()) end},
{"B12", core, "kill arriving over a link is an ordinary reason: non-trapping peer dies with kill, not killed", fun() ->
    die(fun() -> spawn_link(fun() -> exit(kill) end), forever() end) end},
{"B13", core, "exit(self(),kill): reason is killed, even when trapping", fun() ->
    die(fun() -> trap(), exit(self(), kill), forever() end) end},
{"B14", core, "Reason travels unchanged along a chain of 10 links", fun() ->
    trap(), P = chain(10), P ! go, e(P, msg()) end},
{"B15", core, "exit(P,R) without a link: trapping gets {'EXIT',Sender,R}; non-trapping dies with R", fun() ->
    Me = self(), T = spawn(fun() -> trap(), Me ! up, X = msg(), Me ! {got, X} end),
    up = msg(), exit(T, why), {got, X} = msg(),
    {P, M} = spawn_monitor(fun forever/0), exit(P, why), [e(Me, X), down(M)] end},
{"B16", core, "exit/2 to a dead pid returns true and has no effect", fun() -> exit(dead(), x) end},
{"B17", core, "process_flag(trap_exit) returns the old value; default false", fun() ->
    [process_flag(trap_exit, true), process_flag(trap_exit, false)] end},
{"B18", core, "Turning trap_exit off keeps already converted 'EXIT' messages in the mailbox", fun() ->
    trap(), C = spawn_link(fun() -> exit(x) end), settle(), process_flag(trap_exit, false), e(C, msg()) end},
{"B19", core, "Exit reasons: end of code normal; error {R,stack}; throw {nocatch,T}; exit(T) is T", fun() ->
    [die(fun() -> ok end), die(fun() -> error(bang) end),
     die(fun() -> throw(t) end), die(fun() -> exit(t) end)] end},
{"B20", core, "An uncaught error in one process leaves unrelated processes alone", fun() ->
    P = idle(), error = element(1, die(fun() -> error(bang) end)), {alive, is_process_alive(P)} end},
{"B21", choice, "A process killed by an exit signal does not run its cleanup (try/after) code", fun() ->
    Me = self(),
    {P, M} = spawn_monitor(fun() -> try Me ! up, forever() after Me ! cleanup_ran end end),
    up = msg(), exit(P, shutdown), R = down(M), [R, rest()] end},
{"B22", core, "exit(Reason) called by the process itself does run its cleanup code", fun() ->
    Me = self(),
    {_, M} = spawn_monitor(fun() -> try exit(shutdown) after Me ! cleanup_ran end end),
    R = down(M), [R, rest()] end},
{"B23", choice, "Exit signals hit a process that is computing, not only one in receive", fun() ->
    {P, M} = spawn_monitor(fun() -> spin(0) end), settle(), exit(P, stop), down(M) end}
].
chain(0) -> receive go -> exit(boom) end;
chain(N) ->
    Me = self(),
    spawn_link(fun() -> P = chain_next(N - 1, Me), receive go -> P ! go end, forever() end).
chain_next(0, _) -> spawn_link(fun() -> receive go -> exit(boom) end end);
chain_next(N, Me) -> spawn_link(fun() -> P = chain_next(N - 1, Me), receive go -> P ! go end, forever() end).
spin(N) -> spin(N + 1).

c() -> [
{"C01", core, "Links are idempotent: link twice, one unlink removes it", fun() ->
    trap(), C = spawn(fun() -> receive go -> exit(x) end end),
    link(C), link(C), unlink(C), C ! go, settle(), rest() end},
{"C02", core, "link twice: exactly one 'EXIT'", fun() ->
    trap(), C = spawn(fun() -> receive go -> exit(x) end end),
    link(C), link(C), C ! go, settle(), length(rest()) end},
{"C03", core, "Links are bidirectional: the other side may remove the link", fun() ->
    trap(), Me = self(),
    C = spawn_link(fun() -> unlink(Me), Me ! off, exit(x) end), [msg(), e(C, msg(60))] end},
{"C04", core, "link to a dead local pid: non-trapping raises noproc; trapping returns true plus {'EXIT',P,noproc}", fun() ->
    P = dead(), A = bad(fun() -> link(P) end), trap(), [A, link(P), e(P, msg())] end},
{"C05", core, "unlink of something not linked, or dead, returns true", fun() -> [unlink(idle()), unlink(dead()), unlink(self())] end},
{"C06", core, "After unlink returns and one flush, no 'EXIT' from that link ever arrives (race; both outcomes must occur)", fun() ->
    trap(),
    race(fun(X) -> C = racer(X, fun() -> exit(x) end), link(C), C ! go, sweep(X),
        unlink(C), B = receive {'EXIT', C, _} -> came after 0 -> not_yet end,
        gone(C), {B, receive {'EXIT', C, _} -> false after 0 -> true end} end, n(3000)) end},
{"C07", core, "spawn_link is atomic: a child that dies at once is always reported", fun() ->
    trap(), viol(fun(_) -> C = spawn_link(fun() -> exit(x) end), msg() =:= {'EXIT', C, x} end, n(3000)) end},
{"C08", core, "link(self()) is a no-op that returns true", fun() -> [link(self()), {links, length(element(2, process_info(self(), links)))}] end},
{"C09", core, "unlink then link again: the new link works", fun() ->
    trap(), C = spawn(fun() -> receive go -> exit(x) end end),
    link(C), unlink(C), link(C), C ! go, e(C, msg()) end},
{"C10", core, "Both sides link/unlink at random, then both link: both ends agree the link exists", fun() ->
    viol(fun(X) -> c10(X) end, n(500)) end},
{"C11", core, "An 'EXIT' already queued before unlink stays (needs the flush pattern)", fun() ->
    trap(), C = spawn_link(fun() -> exit(x) end), settle(), unlink(C), e(C, msg(50)) end},
{"C12", core, "A dying process notifies each of 5000 linked peers exactly once", fun() ->
    Me = self(), N = 5000, Hub = idle(),
    Ps = [spawn(fun() -> trap(), link(Hub), Me ! up, receive {'EXIT', Hub, R} -> Me ! {got, R} end,
                         receive {'EXIT', Hub, _} -> Me ! dup after 50 -> ok end end) || _ <- lists:seq(1, N)],
    [receive up -> ok end || _ <- Ps], exit(Hub, bye),
    G = length([x || _ <- Ps, receive {got, bye} -> true after ?T -> false end]), settle(), settle(), settle(),
    {G, length(rest())} end},
{"C13", core, "A crash takes down a fully linked set of 5000 non-trapping processes, all with the reason", fun() ->
    Hub = idle(), Me = self(), Ms = [element(2, spawn_monitor(fun() -> link(Hub), Me ! up, forever() end)) || _ <- lists:seq(1, 5000)],
    [receive up -> ok end || _ <- Ms], exit(Hub, bye),
    {same, length([x || M <- Ms, down(M) =:= bye])} end}
].
%% a race is only worth its name if both outcomes are seen (each in >= 1 % of the rounds)
race(F, N) ->
    L = [F(X) || X <- lists:seq(1, N)], Bs = lists:usort([B || {B, _} <- L]),
    Both = length(Bs) > 1 andalso lists:all(fun(B) -> length([x || {Y, _} <- L, Y =:= B]) * 100 >= N end, Bs),
    {violations, length([x || {_, Ok} <- L, Ok =/= true]), case Both of true -> both; false -> one_sided end}.
racer(X, F) ->                                  % odd rounds: a peer that is already running on another core
    Me = self(), P = spawn(fun() -> Me ! ready, case X rem 2 of 0 -> receive go -> F() end; 1 -> poll(F) end end),
    receive ready -> P end.
poll(F) -> receive go -> F() after 0 -> poll(F) end.
sweep(X) -> spin_for((X * 7919) rem 8000).
busy(Us) -> busy_until(erlang:monotonic_time(microsecond) + Us).
busy_until(T) -> case erlang:monotonic_time(microsecond) < T of true -> busy_until(T); false -> ok end.
spin_for(0) -> ok;
spin_for(N) -> spin_for(N - 1).
c10(X) ->
    Me = self(), rand:seed(exsss, {X, 1, 2}), trap(),
    B = spawn(fun() -> trap(), receive {a, A} -> c10_ops(A, X), Me ! b_done, receive fin -> link(A) end,
                       Me ! b_linked, receive die -> exit(agree) end end end),
    B ! {a, Me}, c10_ops(B, X + 1), b_done = msg(), link(B), B ! fin, b_linked = msg(),
    B ! die, Z = msg() =:= {'EXIT', B, agree}, [] = rest(), Z.
c10_ops(P, S) ->
    lists:foreach(fun(K) -> case (S * 31 + K * 17) rem 3 of 0 -> unlink(P); _ -> link(P) end end, lists:seq(1, 12)).

d() -> [
{"D01", core, "Monitor of a dead process: one DOWN with noproc", fun() -> P = dead(), M = monitor(process, P), down(M) end},
{"D02", core, "Monitor of an unregistered name: DOWN with {Name,Node} and noproc", fun() ->
    M = monitor(process, conf_nobody), receive {'DOWN', M, process, {conf_nobody, N}, R} when N =:= node() -> {named, R} after ?T -> no end end},
{"D03", core, "Monitors stack: three monitors, three DOWNs", fun() ->
    P = idle(), Ms = [monitor(process, P) || _ <- [1, 2, 3]], exit(P, x), [down(M) || M <- Ms] ++ [length(rest())] end},
{"D04", core, "Monitors are one-way: the watcher's death does not touch the watched", fun() ->
    P = idle(), die(fun() -> monitor(process, P), exit(boom) end), settle(), {alive, is_process_alive(P)} end},
{"D05", core, "demonitor(M,[flush]): no DOWN for M afterwards (race; both outcomes must occur)", fun() ->
    race(fun(X) -> P = racer(X, fun() -> ok end), M = monitor(process, P), P ! go, sweep(X),
        B = demonitor(M, [flush, info]), gone(P), {B, receive {'DOWN', M, _, _, _} -> false after 0 -> true end} end, n(3000)) end},
{"D06", core, "demonitor without flush leaves a DOWN that is already queued", fun() ->
    P = dead(), M = monitor(process, P), settle(), demonitor(M), receive {'DOWN', M, _, _, R} -> R after 50 -> none end end},
{"D07", core, "demonitor [info]: true while active, false once DOWN was delivered; [flush,info] false and removes it", fun() ->
    P = idle(), M1 = monitor(process, P), A = demonitor(M1, [info]),
    M2 = monitor(process, P), exit(P, x), settle(), B = demonitor(M2, [info]), C = demonitor(M2, [flush, info]),
    [A, B, C, length(rest())] end},
{"D08", core, "demonitor of an unknown reference returns true", fun() -> demonitor(make_ref()) end},
{"D09", core, "DOWN carries the exit reason: normal, own reason, killed, {error,stack}", fun() ->
    K = fun() -> {P, M} = spawn_monitor(fun forever/0), exit(P, kill), down(M) end,
    [die(fun() -> ok end), die(fun() -> exit(r) end), K(), die(fun() -> error(e) end)] end},
{"D10", core, "monitor(self()) never fires", fun() -> is_reference(monitor(process, self())) andalso begin settle(), rest() end end},
{"D11", core, "Monitor by name watches the process found then, not a later holder of the name", fun() ->
    P = spawn(fun forever/0), register(conf_d11, P), M = monitor(process, conf_d11),
    unregister(conf_d11), Q = idle(), register(conf_d11, Q), exit(Q, q), settle(), A = length(rest()),
    exit(P, p), [A, down(M)] end},
{"D12", core, "spawn_monitor is atomic: a child that dies at once is reported with its own reason, never noproc", fun() ->
    viol(fun(_) -> {_, M} = spawn_monitor(fun() -> exit(x) end), down(M) =:= x end, n(3000)) end},
{"D13", core, "monitor option {tag,T}: the message tag is T instead of 'DOWN'", fun() ->
    P = dead(), M = monitor(process, P, [{tag, mytag}]), receive {T, M, process, P, R} -> {T, R} after ?T -> no end end},
{"D14", core, "A dying process notifies each of 5000 monitors exactly once", fun() ->
    P = idle(), Ms = [monitor(process, P) || _ <- lists:seq(1, 5000)], exit(P, x),
    {length([x || M <- Ms, down(M) =:= x]), length(rest())} end},
{"D15", core, "Link and monitor on the same peer: both fire", fun() ->
    trap(), P = idle(), link(P), M = monitor(process, P), exit(P, x),
    [down(M), receive {'EXIT', P, R} -> R after ?T -> no end] end}
].

e_() -> [
{"E01", core, "register / whereis / unregister", fun() ->
    P = idle(), A = register(conf_e1, P), B = whereis(conf_e1) =:= P, C = unregister(conf_e1), [A, B, C, whereis(conf_e1)] end},
{"E02", core, "badarg: name taken; process already has a name; dead pid; reserved 'undefined'; unregister of a free name", fun() ->
    P = idle(), Q = idle(), register(conf_e2, P),
    R = [bad(fun() -> register(conf_e2, Q) end), bad(fun() -> register(conf_e2b, P) end),
         bad(fun() -> register(conf_e2c, dead()) end), bad(fun() -> register(undefined, Q) end),
         bad(fun() -> unregister(conf_e2d) end)], exit(P, kill), R end},
{"E03", core, "When DOWN is received the name is already free", fun() ->
    viol(fun(_) -> {P, M} = spawn_monitor(fun() -> receive go -> ok end end), register(conf_e3, P), P ! go, down(M),
        whereis(conf_e3) =:= undefined end, n()) end},
{"E04", core, "When 'EXIT' is received the name is already free and can be taken at once", fun() ->
    trap(), viol(fun(_) -> P = spawn_link(fun() -> receive go -> ok end end), register(conf_e4, P), P ! go,
        {'EXIT', P, normal} = msg(), Q = idle(), try register(conf_e4, Q) after exit(Q, kill), is_process_alive(Q) end end, n()) end},
{"E05", core, "is_process_alive(P) false implies the name is free", fun() ->
    viol(fun(_) -> P = idle(), register(conf_e5, P), exit(P, kill), false = is_process_alive(P),
        whereis(conf_e5) =:= undefined end, n()) end},
{"E06", core, "Two processes race for one name 1000 times: exactly one wins each time", fun() ->
    Me = self(),
    viol(fun(_) -> F = fun() -> receive go -> Me ! {w, catch_all(fun() -> register(conf_e6, self()) end)} end, receive stop -> ok end end,
        P = spawn(F), Q = spawn(F), P ! go, Q ! go,
        W = length([x || _ <- [1, 2], receive {w, true} -> true; {w, _} -> false end]),
        P ! stop, Q ! stop, gone(P), gone(Q), W =:= 1 end, n()) end}
].

f() -> [
{"F01", core, "On DOWN: not alive, process_info undefined, not in the process list", fun() ->
    viol(fun(_) -> {P, M} = spawn_monitor(fun() -> ok end), down(M),
        {false, undefined, false} =:= {is_process_alive(P), process_info(P), lists:member(P, processes())} end, n()) end},
{"F02", choice, "On DOWN: named resources owned by the process (tables) are gone", fun() ->
    viol(fun(_) -> {_, M} = spawn_monitor(fun() -> ets:new(conf_f2, [named_table]) end), down(M),
        ets:whereis(conf_f2) =:= undefined end, n()) end},
{"F03", core, "Unread messages of a dead process vanish; nobody is told", fun() ->
    P = idle(), [P ! X || X <- lists:seq(1, 1000)], exit(P, kill), gone(P), settle(), rest() end},
{"F04", core, "Pids are not reused soon: 100000 spawned processes, all pids distinct, an old pid stays dead", fun() ->
    Old = dead(), L = [spawn(fun() -> ok end) || _ <- lists:seq(1, 100000)],
    [length(lists:usort(L)), is_process_alive(Old), lists:member(Old, L)] end},
{"F05", core, "Process-dictionary and flags do not leak to a new process", fun() ->
    put(k, v), trap(), Me = self(), spawn(fun() -> Me ! {get(k), process_flag(trap_exit, false)} end), msg() end},
{"F06", core, "spawn of a function that does not exist: spawn succeeds, the child dies with undef", fun() ->
    {_, M} = spawn_monitor(conf_no_such_module, f, []), reason(down(M)) end}
].

g() -> [
{"G01", core, "A timer never fires early (0,1,5,20,50 ms, 20 each)", fun() ->
    viol(fun(X) -> T = lists:nth(X rem 5 + 1, [0, 1, 5, 20, 50]), T0 = erlang:monotonic_time(microsecond),
        erlang:send_after(T, self(), t), t = msg(), erlang:monotonic_time(microsecond) - T0 >= T * 1000 end, 100) end},
{"G02", core, "start_timer delivers {timeout,Ref,Msg}; send_after the bare message", fun() ->
    R = erlang:start_timer(1, self(), m), receive {timeout, R, m} -> ok after ?T -> no end, erlang:send_after(1, self(), b), [ok, msg()] end},
{"G03", core, "cancel_timer before expiry returns the time left (0..T) and nothing is delivered", fun() ->
    R = erlang:send_after(60, self(), t), L = erlang:cancel_timer(R), receive after 90 -> ok end,
    [is_integer(L) andalso L >= 0 andalso L =< 60, length(rest())] end},
{"G04", core, "cancel_timer after expiry returns false; the message is there exactly once", fun() ->
    R = erlang:send_after(1, self(), t), settle(), [erlang:cancel_timer(R), length(rest()), erlang:cancel_timer(R)] end},
{"G05", core, "cancel race: a number means never delivered, false means delivered exactly once (both must occur)", fun() ->
    race(fun(X) -> R = erlang:send_after(1, self(), t), busy((X * 37) rem 3000), C = erlang:cancel_timer(R),
        receive after case X rem 20 of 0 -> 5; _ -> 0 end -> ok end,
        {C =:= false, case C of false -> msg(50) =:= t andalso msg(0) =:= nothing; _ -> msg(0) =:= nothing end} end, n()) end},
{"G06", core, "A timer to a name resolves it at expiry; if nobody has it the message is dropped", fun() ->
    erlang:send_after(30, conf_g6, t), Me = self(),
    spawn(fun() -> register(conf_g6, self()), X = msg(200), Me ! X end), A = msg(500),
    erlang:send_after(1, conf_g6_none, t), settle(), [A, length(rest())] end},
{"G07", core, "A timer to a pid is cancelled when that process dies", fun() ->
    P = idle(), R = erlang:send_after(5000, P, t), exit(P, kill), gone(P), settle(), erlang:read_timer(R) end},
{"G08", core, "receive ... after T is not restarted by messages that do not match", fun() ->
    Me = self(), S = spawn(fun() -> spam_every(Me, 10) end), T0 = ms(),
    receive never -> x after 150 -> ok end, D = ms() - T0, exit(S, kill), [D >= 150, D < 1000] end},
{"G09", core, "receive ... after 0 still takes a matching message that is already queued", fun() ->
    self() ! x, self() ! y, receive y -> found after 0 -> missed end end},
{"G10", choice, "Negative or too large timeouts are refused (send_after badarg; receive timeout_value)", fun() ->
    [bad(fun() -> erlang:send_after(ident(-1), self(), x) end), bad(fun() -> receive after ident(-1) -> x end end),
     bad(fun() -> receive after ident(16#FFFFFFFF + 1) -> x end end)] end},
{"G11", core, "A timer belongs to no one: it survives the death of the process that started it", fun() ->
    Me = self(), spawn(fun() -> erlang:send_after(30, Me, t) end), msg(500) end},
{"G12", core, "Timers with deadlines 20 ms apart arrive in deadline order", fun() ->
    [erlang:send_after(T, self(), T) || T <- [60, 20, 40, 80]], [msg(), msg(), msg(), msg()] end},
{"G13", core, "10000 timers started and cancelled leave no message and no timer", fun() ->
    Rs = [erlang:send_after(300, self(), t) || _ <- lists:seq(1, 10000)],
    A = length([x || R <- Rs, is_integer(erlang:cancel_timer(R))]), receive after 350 -> ok end, [A, length(rest())] end}
].
spam_every(P, T) -> P ! noise, receive after T -> ok end, spam_every(P, T).

h() -> [
{"H01", core, "Active alias delivers; after unalias messages are dropped; unalias is true, then false", fun() ->
    A = alias(), A ! one, X = msg(), U1 = unalias(A), A ! two, settle(), [X, U1, unalias(A), length(rest())] end},
{"H02", core, "alias([reply]): the first message through it closes it", fun() ->
    A = alias([reply]), A ! one, A ! two, settle(), rest() end},
{"H03", core, "monitor alias reply_demonitor: the first reply removes monitor and alias, no DOWN", fun() ->
    P = idle(), A = monitor(process, P, [{alias, reply_demonitor}]), A ! r1, A ! r2, settle(), exit(P, x), settle(), rest() end},
{"H04", core, "monitor alias demonitor: DOWN closes the alias", fun() ->
    P = idle(), A = monitor(process, P, [{alias, demonitor}]), exit(P, x), D = down(A), A ! late, settle(), [D, length(rest())] end},
{"H05", core, "monitor alias explicit_unalias: the alias outlives DOWN", fun() ->
    P = idle(), A = monitor(process, P, [{alias, explicit_unalias}]), exit(P, x), D = down(A), A ! late, [D, msg(), unalias(A)] end},
{"H06", core, "Alias of a dead process: messages are dropped silently", fun() ->
    Me = self(), P = spawn(fun() -> Me ! alias() end), A = msg(), gone(P), A ! x end},
{"H07", core, "Another process cannot close my alias", fun() ->
    A = alias(), Me = self(), spawn(fun() -> Me ! {u, catch_all(fun() -> unalias(A) end)} end), {u, R} = msg(), A ! x, [R, msg()] end},
{"H08", core, "Call with timeout through an alias: the late reply never enters the mailbox", fun() ->
    S = spawn(fun() -> receive {q, To} -> settle(), To ! {reply, To} end end),
    A = monitor(process, S, [{alias, reply_demonitor}]), S ! {q, A},
    R = receive {reply, A} -> got after 5 -> timeout end, demonitor(A, [flush]), settle(), settle(), [R, length(rest())] end},
{"H09", core, "Messages queued before unalias stay", fun() -> A = alias(), A ! x, settle(), unalias(A), rest() end},
{"H10", core, "An alias is only for messages: link, monitor and exit on it are refused", fun() ->
    A = alias(), [bad(fun() -> link(A) end), bad(fun() -> monitor(process, A) end), bad(fun() -> exit(A, x) end)] end}
].

i() -> [
{"I01", core, "Queue length seen by the sender after N sends is N", fun() ->
    viol(fun(_) -> P = idle(), [P ! X || X <- lists:seq(1, 50)], R = process_info(P, message_queue_len), exit(P, kill),
        R =:= {message_queue_len, 50} end, n(200)) end},
{"I02", core, "A receive that times out leaves the mailbox untouched", fun() ->
    [self() ! X || X <- [a, b]], receive zz -> x after 5 -> ok end, rest() end},
{"I03", core, "Messages are isolated: the receiver's copy is unaffected by the sender's death", fun() ->
    Me = self(), {_, M} = spawn_monitor(fun() -> Me ! binary:copy(<<"x">>, 1000000) end), down(M),
    erlang:garbage_collect(), B = msg(), {byte_size(B), B =:= binary:copy(<<"x">>, 1000000)} end},
{"I04", choice, "A 1 MB binary fanned out to 200 processes is shared, not copied (memory grows by < 20 MB)", fun() ->
    Me = self(), Ps = [spawn(fun() -> receive B -> Me ! byte_size(B), forever() end end) || _ <- lists:seq(1, 200)],
    B = binary:copy(<<7>>, 1000000), M0 = erlang:memory(total), [P ! B || P <- Ps],
    S = lists:sum([msg() || _ <- Ps]), M1 = erlang:memory(total), [exit(P, kill) || P <- Ps], [S, M1 - M0 < 20000000] end},
{"I05", choice, "After the last holder dies a shared 50 MB binary is freed", fun() ->
    settle(), erlang:garbage_collect(), M0 = erlang:memory(binary),
    P = spawn(fun() -> B = binary:copy(<<7>>, 50000000), receive go -> byte_size(B) end end), settle(), settle(),
    M1 = erlang:memory(binary), exit(P, kill), gone(P), settle(), M2 = erlang:memory(binary), [M1 - M0 > 40000000, M2 - M0 < 5000000] end}
].

j() -> [
{"J01", choice, "Two spinning processes per core do not stop 200 ping-pongs (all within 10 s)", fun() ->
    Sp = [spawn(fun() -> spin(0) end) || _ <- lists:seq(1, 2 * erlang:system_info(schedulers_online))],
    Q = spawn(fun() -> echo() end), T0 = ms(),
    V = count(fun(X) -> Q ! {self(), X}, msg() =:= X end, 200), D = ms() - T0, [exit(P, kill) || P <- [Q | Sp]], [V, D < 10000] end},
{"J02", core, "A process with 1000000 queued messages does not slow others: 200 ping-pongs within 10 s", fun() ->
    F = idle(), [F ! X || X <- lists:seq(1, 1000000)], Q = spawn(fun() -> echo() end), T0 = ms(),
    V = count(fun(X) -> Q ! {self(), X}, msg() =:= X end, 200), D = ms() - T0, exit(F, kill), gone(F), exit(Q, kill), [V, D < 10000] end},
{"J03", choice, "Per-process memory limit with kill: the offender dies with killed, others live", fun() ->
    P = idle(), {_, M} = spawn_opt(fun() -> grow([]) end, [monitor, {max_heap_size, #{size => 10000, kill => true, error_logger => false}}]),
    [down(M), is_process_alive(P)] end},
{"J04", core, "100000 processes alive at once, then all killed: every DOWN arrives, count returns to the start", fun() ->
    N0 = length(processes()), Ps = [spawn_monitor(fun forever/0) || _ <- lists:seq(1, 100000)],
    [exit(P, kill) || {P, _} <- Ps], G = length([x || {_, M} <- Ps, down(M) =:= killed]),
    settle(), [G, abs(length(processes()) - N0) < 5] end},
{"J05", choice, "Deep recursion in one process (1000000 frames) does not crash the system", fun() ->
    {_, M} = spawn_monitor(fun() -> exit({depth, deep(1000000)}) end), down(M) end}
].
echo() -> receive {F, X} -> F ! X end, echo().
grow(L) -> grow([lists:seq(1, 100) | L]).
deep(0) -> 0;
deep(N) -> 1 + deep(N - 1).

%% ---------------------------------------------------------- gen_server-like call
k() -> [
{"K01", core, "call to a dead process / free name: exit noproc", fun() ->
    [try gen_server:call(P, x) catch exit:{R, _} -> R end || P <- [dead(), conf_nobody]] end},
{"K02", core, "call times out: exit timeout; a late reply never shows up", fun() ->
    S = spawn(fun() -> receive {'$gen_call', From, _} -> settle(), gen_server:reply(From, late) end, forever() end),
    R = try gen_server:call(S, x, 5) catch exit:{Y, _} -> Y end, settle(), settle(), [R, length(rest())] end},
{"K03", core, "Server dies during the call: the caller exits with the server's reason", fun() ->
    S = spawn(fun() -> receive {'$gen_call', _, _} -> exit(crashed) end end),
    [try gen_server:call(S, x) catch exit:{Y, _} -> Y end, length(rest())] end},
{"K04", core, "call to self: exit calling_self", fun() -> try gen_server:call(self(), x) catch exit:{Y, _} -> Y end end}
].

%% ---------------------------------------------------------- supervisors
init({sup, Flags, Kids}) -> {ok, {Flags, Kids}}.
kid(Log, Id) -> kid(Log, Id, #{}).
kid(Log, Id, O) ->
    {ok, proc_lib:spawn_link(fun() -> process_flag(trap_exit, maps:get(trap, O, true)), Log ! {up, Id, self()}, kid_loop({Log, Id, O}) end)}.
kid_loop({Log, Id, O} = S) ->
    receive {'EXIT', _, R} -> Log ! {term, Id, R},
                              case O of #{stubborn := true} -> kid_loop(S); _ -> exit(R) end;
            {die, R} -> exit(R);
            _ -> kid_loop(S) end.
ksp(Id, Log, M) -> maps:merge(#{id => Id, start => {?MODULE, kid, [Log, Id]}, restart => permanent, shutdown => 1000}, M).
sup(Str, Int, Kids) ->
    {ok, P} = supervisor:start_link(?MODULE, {sup, #{strategy => Str, intensity => Int, period => 5}, Kids}), P.
ups(L) -> [receive {up, I, P} -> {I, P} after ?T -> no end || I <- L].
evs() -> receive {up, I, _} -> [{up, I} | evs()]; {term, I, R} -> [{term, I, R} | evs()] after 80 -> [] end.
stop(P) -> unlink(P), M = monitor(process, P), exit(P, shutdown), down(M).

m() -> [
{"M01", core, "Children start in order and stop in reverse order with reason shutdown", fun() ->
    trap(), Me = self(), S = sup(one_for_one, 3, [ksp(I, Me, #{}) || I <- [a, b, c]]), U = evs(), stop(S), [U, evs()] end},
{"M02", core, "one_for_one: only the crashed child is restarted", fun() ->
    trap(), Me = self(), S = sup(one_for_one, 3, [ksp(I, Me, #{}) || I <- [a, b, c]]), [_, {b, B}, _] = ups([a, b, c]),
    B ! {die, x}, E = evs(), stop(S), E end},
{"M03", core, "one_for_all: the others are stopped in reverse order, then all start in order", fun() ->
    trap(), Me = self(), S = sup(one_for_all, 3, [ksp(I, Me, #{}) || I <- [a, b, c]]), [_, {b, B}, _] = ups([a, b, c]),
    B ! {die, x}, E = evs(), stop(S), E end},
{"M04", core, "rest_for_one: the crashed child and those started after it", fun() ->
    trap(), Me = self(), S = sup(rest_for_one, 3, [ksp(I, Me, #{}) || I <- [a, b, c]]), [_, {b, B}, _] = ups([a, b, c]),
    B ! {die, x}, E = evs(), stop(S), E end},
{"M05", core, "Restart limit 2 per 5 s: the third crash ends the supervisor with shutdown and stops the children", fun() ->
    trap(), Me = self(), S = sup(one_for_one, 2, [ksp(a, Me, #{}), ksp(b, Me, #{})]), ups([a, b]),
    [begin [{_, A, _, _}] = [C || {a, _, _, _} = C <- supervisor:which_children(S)], A ! {die, x}, receive {up, a, _} -> ok after 200 -> ok end end || _ <- [1, 2, 3]],
    R = receive {'EXIT', S, Y} -> Y after ?T -> no end, [R, evs()] end},
{"M06", core, "transient: restarted after abnormal, not after normal or shutdown; temporary: never", fun() ->
    trap(), Me = self(),
    F = fun(T, R) -> S = sup(one_for_one, 3, [ksp(a, Me, #{restart => T})]), [{a, A}] = ups([a]), A ! {die, R}, E = evs(), stop(S), evs(), {R, length(E)} end,
    [F(transient, x), F(transient, normal), F(transient, shutdown), F(temporary, x), F(permanent, normal)] end},
{"M07", core, "A child that ignores shutdown is killed after its timeout (100 ms)", fun() ->
    trap(), Me = self(), S = sup(one_for_one, 3, [#{id => a, start => {erlang, apply, [fun(L, I) -> kid(L, I, #{stubborn => true}) end, [Me, a]]}, shutdown => 100}]),
    [{a, A}] = ups([a]), M = monitor(process, A), T0 = ms(), stop(S), D = ms() - T0, [down(M), D >= 95, D < 2000] end},
{"M08", core, "brutal_kill child dies with killed, gets no shutdown", fun() ->
    trap(), Me = self(), S = sup(one_for_one, 3, [ksp(a, Me, #{shutdown => brutal_kill})]), [{a, A}] = ups([a]), M = monitor(process, A), stop(S), [down(M), evs()] end}
].

%% ---------------------------------------------------------- two nodes: left out where this is none
dist() -> node() =/= nonode@nohost.
peer() -> peer([]).
peer(Args) ->
    {ok, P, N} = peer:start(#{name => peer:random_name(), host => "localhost", connection => standard_io,
                              args => ["-pa", filename:dirname(code:which(?MODULE)), "-connect_all", "false", "-kernel", "logger_level", "none",
                                       "-kernel", "net_ticktime", "4", "-kernel", "prevent_overlapping_partitions", "false"] ++ Args}),
    {P, N}.
with(F) -> with([], F).
with(Args, F) ->
    case dist() of
        false -> skipped_not_distributed;
        true -> {P, N} = peer(Args), try F(P, N) after catch peer:stop(P), erlang:disconnect_node(N) end
    end.
rcall(P, M, F, A) -> peer:call(P, M, F, A, ?T).
cut(N) -> erlang:disconnect_node(N).
node_echo() -> spawn(?MODULE, node_loop, []).
node_loop() ->
    receive {F, ping} -> F ! {self(), pong}, node_loop();
            {link, X} -> process_flag(trap_exit, true), link(X), X ! linked, node_loop();
            {monitor, X} -> put(m, monitor(process, X)), X ! monitored, node_loop();
            {'EXIT', _, R} -> put(got, {'EXIT', R}), node_loop();
            {'DOWN', _, _, _, R} -> put(got, {'DOWN', R}), node_loop();
            {die, R} -> exit(R);
            _ -> node_loop() end.
node_proxy(P) -> case process_info(P, dictionary) of {_, D} -> proplists:get_value(got, D, nothing); undefined -> dead end.
reach(Q) -> Q ! {self(), ping}, receive {Q, pong} -> true after ?T -> false end.
halt_hard(P) -> Pid = rcall(P, os, getpid, []), os:cmd("kill -9 " ++ Pid), ok.

l() -> [
{"L01", core, "Remote messages from one sender arrive in order (20000)", fun() -> with(fun(P, _) ->
    Me = self(), rcall(P, erlang, spawn, [?MODULE, spam, [[Me], 1, 20000]]),
    viol(fun(X) -> receive Y -> X =:= Y after ?T -> false end end, 20000) end) end},
{"L02", core, "Remote exit/2 is ordered with messages, as A02 (500)", fun() -> with(fun(_, N) ->
    viol(fun(_) -> Q = spawn(N, fun() -> a02() end), M = monitor(process, Q),
        Q ! may, Q ! may, exit(Q, good), Q ! mustnot, good =:= down(M) end, n(500)) end) end},
{"L03", core, "Remote link: exit reason arrives; remote kill arrives as killed", fun() -> with(fun(_, N) ->
    trap(), Q = spawn_link(N, fun() -> exit(boom) end), A = e(Q, msg()), R = spawn_link(N, fun forever/0), exit(R, kill), [A, e(R, msg())] end) end},
{"L04", core, "Connection lost: linked peers on both sides get 'EXIT' noconnection and both live on", fun() -> with(fun(P, N) ->
    trap(), Q = rcall(P, ?MODULE, node_echo, []), link(Q), Q ! {link, self()}, linked = msg(), cut(N),
    A = e(Q, msg()), settle(), settle(), [A, rcall(P, ?MODULE, node_proxy, [Q])] end) end},
{"L05", core, "Connection lost: monitors on both sides get DOWN noconnection; the process lives on", fun() -> with(fun(P, N) ->
    Q = rcall(P, ?MODULE, node_echo, []), M = monitor(process, Q), Q ! {monitor, self()}, monitored = msg(), cut(N),
    A = down(M), settle(), settle(), [A, rcall(P, ?MODULE, node_proxy, [Q]), rcall(P, erlang, is_process_alive, [Q])] end) end},
{"L06", core, "Monitor of a dead process on a live node: noproc; of any process on an unreachable node: noconnection", fun() -> with(fun(P, N) ->
    Q = rcall(P, ?MODULE, node_echo, []), true = reach(Q), exit(Q, kill), _ = gone(Q), B = down(monitor(process, Q)),
    M = monitor(process, {x, 'nosuch@localhost'}), _ = N, [B, down(M)] end) end},
{"L07", core, "Sending to an unreachable node is silent", fun() -> with(fun(_, _) -> {x, 'nosuch@localhost'} ! hello end) end},
{"L08", core, "spawn on an unreachable node: a pid is returned, its monitor says noconnection, its link too", fun() -> with(fun(_, _) ->
    trap(), Q = spawn('nosuch@localhost', erlang, now, []), A = gone(Q), R = spawn_link('nosuch@localhost', erlang, now, []), [is_pid(Q), A, e(R, msg())] end) end},
{"L09", core, "link to a process on an unreachable node: returns true, then 'EXIT' noconnection", fun() -> with(fun(P, N) ->
    Q = rcall(P, ?MODULE, node_echo, []), true = reach(Q), halt_hard(P), down(monitor(process, Q)), _ = N, trap(), [link(Q), e(Q, msg())] end) end},
{"L10", core, "kill -9 of the peer: DOWN noconnection and nodedown within 1 s", fun() -> with(fun(P, N) ->
    Q = rcall(P, ?MODULE, node_echo, []), M = monitor(process, Q), true = reach(Q), monitor_node(N, true), T0 = ms(), halt_hard(P),
    A = down(M), B = receive {nodedown, N} -> nodedown after ?T -> no end, [A, B, ms() - T0 < 1000] end) end},
{"L11", core, "Silent peer (SIGSTOP, tick time 4 s): noconnection after 3 to 5 s (+0.5 s margin)", fun() -> with(fun(P, _) ->
    Q = rcall(P, ?MODULE, node_echo, []), M = monitor(process, Q), true = reach(Q), Os = rcall(P, os, getpid, []),
    os:cmd("kill -STOP " ++ Os), T0 = ms(), A = down(M), D = ms() - T0, os:cmd("kill -CONT " ++ Os), [A, D >= 2900, D =< 5500] end) end},
{"L12", core, "After reconnect the old link is gone, the old pid works again", fun() -> with(fun(P, N) ->
    trap(), Q = rcall(P, ?MODULE, node_echo, []), link(Q), Q ! {link, self()}, linked = msg(), cut(N), A = e(Q, msg()), B = reach(Q),
    Q ! {die, x}, settle(), settle(), [A, B, rest()] end) end},
{"L13", core, "Restarted node with the same name: the old pid reaches nobody, monitor says noproc", fun() ->
    case dist() of false -> skipped_not_distributed; true ->
      {P1, N} = peer(), [Nm, _] = string:split(atom_to_list(N), "@"),
      Q = rcall(P1, ?MODULE, node_echo, []), true = reach(Q), peer:stop(P1), settle(),
      {ok, P2, N} = peer:start(#{name => Nm, host => "localhost", connection => standard_io, args => ["-pa", filename:dirname(code:which(?MODULE)), "-connect_all", "false"]}),
      [rcall(P2, ?MODULE, node_echo, []) || _ <- lists:seq(1, 50)],
      Q ! {self(), ping}, A = msg(300), R = down(monitor(process, Q)), peer:stop(P2), [A, R] end end},
{"L14", core, "Wrong cookie: the connection is refused", fun() -> with(["-setcookie", "wrong"], fun(_, N) -> net_adm:ping(N) end) end},
{"L15", core, "Names are local to a node; {Name,Node} reaches the remote holder", fun() -> with(fun(P, N) ->
    Q = rcall(P, ?MODULE, node_echo, []), rcall(P, erlang, register, [conf_l15, Q]), {conf_l15, N} ! {self(), ping}, [whereis(conf_l15), receive {Q, pong} -> pong after ?T -> no end] end) end},
{"L16", core, "A full channel to a silent peer suspends the sender; nosuspend tells; losing the peer frees it", fun() -> with(fun(P, N) ->
    Q = rcall(P, ?MODULE, node_echo, []), true = reach(Q), Os = rcall(P, os, getpid, []), os:cmd("kill -STOP " ++ Os),
    B = binary:copy(<<0>>, 100000), S = spawn(fun() -> [erlang:send(Q, B, [noconnect]) || _ <- lists:seq(1, 500)] end), receive after 500 -> ok end,
    {status, St} = process_info(S, status), R = erlang:send(Q, B, [nosuspend]), M = monitor(process, S), T0 = ms(), A = down(M), D = ms() - T0,
    os:cmd("kill -CONT " ++ Os), _ = N, [St, R, A, D < 6000] end) end},
{"L17", core, "The peer is killed while streaming: nodedown comes after every message from it", fun() -> with(fun(P, _) ->
    Me = self(), net_kernel:monitor_nodes(true),
    rcall(P, erlang, spawn, [?MODULE, spam, [[Me], 1, 100000000]]), receive 1 -> ok after ?T -> no end, halt_hard(P),
    V = l17(0), settle(), settle(), net_kernel:monitor_nodes(false), [V, length([x || X <- rest(), is_integer(X)])] end) end},
{"L18", choice, "Process limit (1024): spawn raises system_limit, the node keeps working, slots come back", fun() -> with(["+P", "1024"], fun(P, _) ->
    rcall(P, erlang, apply, [fun() -> F = fun G(A) -> try spawn(fun forever/0) of Q -> G([Q | A]) catch error:E -> {E, A} end end,
       {E, L} = F([]), [exit(Q, kill) || Q <- L], [is_process_alive(Q) || Q <- L], [E, length(L) > 500, is_pid(spawn(fun forever/0))] end, []]) end) end},
{"L19", core, "Remote alias: late reply through a closed alias is dropped", fun() -> with(fun(P, _) ->
    Q = rcall(P, ?MODULE, node_echo, []), A = alias(), Q ! {A, ping}, {Q, pong} = msg(), unalias(A), Q ! {A, ping}, true = reach(Q), settle(), length(rest()) end) end},
{"L20", core, "Remote unlink then exit: the peer never sees the exit; link then exit: it sees the real reason (500 each)", fun() -> with(fun(_, N) ->
    trap(), Me = self(),
    A = viol(fun(_) -> C = spawn(N, fun() -> link(Me), unlink(Me), exit(boom) end), M = monitor(process, C), down(M),
        receive {'EXIT', C, _} -> false after 0 -> true end end, n(500)),
    B = viol(fun(_) -> C = spawn(N, fun() -> link(Me), exit(boom) end), receive {'EXIT', C, R} -> R =:= boom after ?T -> false end end, n(500)), [A, B] end) end},
{"L21", core, "Ten 5 MB binaries and small messages interleaved by one sender: order and checksums hold", fun() -> with(fun(P, _) ->
    Me = self(), rcall(P, erlang, spawn, [?MODULE, big, [Me, 10]]),
    viol(fun(X) -> receive {X, B, C} -> receive {X, small} -> byte_size(B) =:= 5000000 andalso erlang:crc32(B) =:= C after ?T -> false end after ?T -> false end end, 10) end) end},
{"L22", core, "monitor_node of an unreachable node: nodedown at once; exit/2 to its pid: true, silent", fun() -> with(fun(P, N) ->
    Q = rcall(P, ?MODULE, node_echo, []), true = reach(Q), halt_hard(P), down(monitor(process, Q)), _ = rest(),
    monitor_node(N, true), A = receive {nodedown, N} -> nodedown after ?T -> no end, [A, exit(Q, kill), length(rest())] end) end},
{"L23", core, "Monitor of a free name on a live remote node: DOWN {Name,Node} noproc", fun() -> with(fun(_, N) ->
    M = monitor(process, {conf_nobody, N}), receive {'DOWN', M, process, {conf_nobody, N}, R} -> R after ?T -> no end end) end},
{"L24", core, "A remote spawner that dies does not take a plain spawned child with it; a linked one it does", fun() -> with(fun(P, _) ->
    Me = self(),
    S = rcall(P, erlang, spawn, [?MODULE, two, [Me]]), {kids, A, B} = msg(), MA = monitor(process, A), MB = monitor(process, B),
    true = is_pid(S), S ! die, X = down(MB), Y = receive {'DOWN', MA, _, _, _} -> dead after 100 -> alive end, [X, Y] end) end},
{"L25", mustdiffer, "Any connected node may start any function here (no allow-list in Erlang)", fun() -> with(fun(P, _) ->
    Me = node(), rcall(P, erlang, apply, [fun() -> true = net_kernel:connect_node(Me), {remote_shell_command, list_to_binary(string:trim(rpc:call(Me, os, cmd, ["echo ran"])))} end, []]) end) end}
].
big(To, N) -> [begin B = crypto_free(X), To ! {X, B, erlang:crc32(B)}, To ! {X, small} end || X <- lists:seq(1, N)].
crypto_free(X) -> rand:seed(exsss, {X, X, X}), binary:copy(rand:bytes(50000), 100).
two(Me) -> A = spawn(fun forever/0), B = spawn_link(fun forever/0), Me ! {kids, A, B}, receive die -> exit(boom) end.
l17(V) -> receive {nodedown, _} -> {before_nodedown, V >= 0}; {nodeup, _} -> l17(V); X when is_integer(X) -> l17(V + 1) after ?T -> {no_nodedown, V} end.
