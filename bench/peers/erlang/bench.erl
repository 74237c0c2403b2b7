%% SPDX-License-Identifier: Apache-2.0
%% What mote is measured against: one clause per workload. erl -noshell -s bench main NAME ARGS...
%% The reference for names, arguments, what is timed and what is printed (`name value unit`); mote-bench follows it.
-module(bench).
-export([main/1, run/1]).

main(Args) ->
    L = [atom_to_list(A) || A <- Args],
    Self = self(),
    %% run in a fresh process, not in init's start-up process
    {P, R} = spawn_opt(fun() -> run(L), Self ! ok end, [monitor]),
    receive ok -> ok; {'DOWN', R, process, P, Why} -> io:format(standard_error, "~p~n", [Why]), halt(1) end,
    erlang:halt(0).

t() -> erlang:monotonic_time(nanosecond).
out(Name, V) -> out(Name, V, "ns").
out(Name, V, Unit) -> io:format("~s ~.3f ~s~n", [Name, float(V), Unit]).
i(S) -> list_to_integer(S).
sp(Sch, F) -> spawn_opt(F, [link, {scheduler, Sch}]).

%% ---------------------------------------------------------------- 1 pingpong
run(["pingpong", W, N0]) ->
    N = i(N0),
    {SA, SB, Nm} = case W of
        "same" -> {1, 1, "pingpong.same"};
        "cross" -> {1, 2, "pingpong.cross"};
        "free" -> {0, 0, "pingpong.free"} end,
    Me = self(),
    B = sp(SB, fun echo/0),
    sp(SA, fun() -> pp(B, 10000), T0 = t(), pp(B, N), T1 = t(), B ! stop, Me ! {t, T1 - T0} end),
    receive {t, T} -> out(Nm, T / N) end;
%% ping-pong with a payload: the same term each time, so that what it costs to copy shows
run(["payload", Kind, S0, N0]) ->
    N = i(N0), S = i(S0), Me = self(),
    X = case Kind of
        "bin" -> binary:copy(<<"x">>, S);
        "list" -> lists:seq(1, S);
        "map" -> maps:from_list([{K, {K, K + 1, <<"abc">>}} || K <- lists:seq(1, S)]) end,
    B = sp(1, fun echo/0),
    sp(1, fun() -> ppx(B, X, 1000), T0 = t(), ppx(B, X, N), T1 = t(), B ! stop, Me ! {t, T1 - T0} end),
    receive {t, T} -> out("payload." ++ Kind ++ S0, T / N) end;
%% ---------------------------------------------------------------- 2 ring
run(["ring", P0, H0]) ->
    P = i(P0), H = i(H0), Me = self(),
    First = spawn_link(fun() -> receive {next, Nx} -> ring(Nx, Me) end end),
    Last = lists:foldl(fun(_, Prev) -> spawn_link(fun() -> ring(Prev, Me) end) end, First, lists:seq(2, P)),
    First ! {next, Last},
    First ! P * 2, receive done -> ok end,
    T0 = t(), First ! H, receive done -> ok end, T1 = t(),
    out("ring." ++ P0, (T1 - T0) / H);
%% ---------------------------------------------------------------- 3 spawn
run(["spawn", N0]) ->
    N = i(N0),
    spseq(1000), T0 = t(), spseq(N), T1 = t(), out("spawn.seq", (T1 - T0) / N),
    T2 = t(), spbatch(N div 1000), T3 = t(), out("spawn.batch1000", (T3 - T2) / (N div 1000 * 1000));
run(["spawn_flood", N0]) ->
    N = i(N0), Me = self(),
    T0 = t(), [spawn(fun() -> Me ! d end) || _ <- lists:seq(1, N)], waitd(N), T1 = t(),
    out("spawn.flood", (T1 - T0) / N);
%% ---------------------------------------------------------------- 4 skynet
run(["skynet", N0]) ->
    N = i(N0), Me = self(),
    T0 = t(), spawn(fun() -> sky(Me, 0, N) end),
    S = receive {sum, X} -> X end, T1 = t(),
    S = N * (N - 1) div 2,
    out("skynet", (T1 - T0) / 1.0e6, "ms");
%% ---------------------------------------------------------------- 5 memory
run(["memory", N0]) ->
    N = i(N0), Me = self(), R0 = rss(),
    T0 = t(),
    Ps = [spawn(fun() -> receive stop -> Me ! d end end) || _ <- lists:seq(1, N)],
    T1 = t(), timer:sleep(300), R1 = rss(),
    out("memory.idle", (R1 - R0) / N, "bytes"), out("memory.spawn", (T1 - T0) / N),
    T2 = t(), [P ! stop || P <- Ps], waitd(N), T3 = t(),
    out("memory.wake_exit", (T3 - T2) / N);
run(["memory_hib", N0]) ->
    N = i(N0), R0 = rss(),
    Ps = [spawn(fun() -> erlang:hibernate(?MODULE, run, [["hib"]]) end) || _ <- lists:seq(1, N)],
    timer:sleep(2000), erlang:garbage_collect(), R1 = rss(),
    out("memory.idle_hib", (R1 - R0) / length(Ps), "bytes");
run(["hib"]) -> receive stop -> ok end;
%% ---------------------------------------------------------------- 6 fan-in
run(["fanin", S0, M0, MQD]) ->
    S = i(S0), M = i(M0), Per = M div S, Me = self(),
    R = spawn_opt(fun() -> receive go -> ok end, cnt(Per * S), Me ! {t, t()} end,
                  [link, {message_queue_data, list_to_atom(MQD)}]),
    Ss = [spawn_link(fun() -> receive go -> send_n(R, Per) end end) || _ <- lists:seq(1, S)],
    T0 = t(), R ! go, [P ! go || P <- Ss],
    receive {t, T1} -> out("fanin." ++ S0 ++ "." ++ MQD, (T1 - T0) / (Per * S)) end;
%% a loaded mailbox, no contention: fill Q then drain
run(["mailbox", M0]) ->
    M = i(M0), Me = self(),
    R = spawn_link(fun() -> receive go -> ok end, cnt(M), Me ! {t, t()} end),
    T0 = t(), send_n(R, M), T1 = t(), R ! go,
    receive {t, T2} -> ok after 0 -> receive {t, T2} -> ok end end,
    out("mailbox.send", (T1 - T0) / M), out("mailbox.total", (T2 - T0) / M);
%% ---------------------------------------------------------------- 7 all-to-all
run(["big", P0, R0]) ->
    P = i(P0), R = i(R0), Me = self(),
    Ps = [spawn_link(fun() -> receive {go, All} -> big(All -- [self()], R, Me) end end) || _ <- lists:seq(1, P)],
    T0 = t(), [X ! {go, Ps} || X <- Ps], waitd(P), T1 = t(), [X ! stop || X <- Ps],
    out("big." ++ P0, (T1 - T0) / (P * (P - 1) * R));
%% ---------------------------------------------------------------- 8 selective receive
run(["selrecv", Q0, N0]) ->
    Q = i(Q0), N = i(N0), Me = self(),
    Srv = spawn_link(fun srv/0),
    spawn_link(fun() ->
        fill(Q),
        sr_marked(Srv, 100), T0 = t(), sr_marked(Srv, N), T1 = t(),
        NU = N div 100,
        sr_unmarked(Srv, 10), T2 = t(), sr_unmarked(Srv, NU), T3 = t(),
        Me ! {r, (T1 - T0) / N, (T3 - T2) / NU} end),
    receive {r, A, B} ->
        out("selrecv.marked." ++ Q0, A), out("selrecv.unmarked." ++ Q0, B),
        case Q of 0 -> ok; _ -> out("selrecv.scan_per_msg." ++ Q0, B / Q) end end;
%% gen_server:call
run(["gencall", N0]) ->
    N = i(N0), {ok, P} = gen_srv:start(), gc(P, 1000), T0 = t(), gc(P, N), T1 = t(), out("gencall", (T1 - T0) / N);
%% ---------------------------------------------------------------- 9 timers
run(["timers", N0]) ->
    N = i(N0),
    T0 = t(), tm_recv(N), T1 = t(), out("timer.recv_after_cancel", (T1 - T0) / N),
    T2 = t(), Rs = [erlang:send_after(600000 + (X rem 5000), self(), x) || X <- lists:seq(1, N)], T3 = t(),
    [erlang:cancel_timer(R) || R <- Rs], T4 = t(),
    out("timer.set", (T3 - T2) / N), out("timer.cancel", (T4 - T3) / N);
run(["timers_fire", N0]) ->
    %% N timers due over 1 s: CPU cost per fired timer (wall is bounded below by the deadline)
    N = i(N0), Me = self(),
    {_, _} = statistics(runtime), C0 = cpu(), T0 = t(),
    Col = spawn_link(fun() -> cnt(N), Me ! {t, t()} end),
    [erlang:send_after(1 + (X rem 1000), Col, m) || X <- lists:seq(1, N)],
    receive {t, T1} -> C1 = cpu(),
        out("timer.fire_cpu", (C1 - C0) / N), out("timer.fire_wall", (T1 - T0) / 1.0e6, "ms") end;
run(["timers_procs", N0]) ->
    %% N processes in receive-after 1..1000 ms: create, park, fire, exit
    N = i(N0), Me = self(), C0 = cpu(), T0 = t(),
    [spawn(fun() -> receive never -> ok after 1 + (X rem 1000) -> Me ! d end end) || X <- lists:seq(1, N)],
    waitd(N), T1 = t(), C1 = cpu(),
    out("timer.procs_cpu", (C1 - C0) / N), out("timer.procs_wall", (T1 - T0) / 1.0e6, "ms");
run(["late", N0]) ->
    %% lateness of a 1 ms receive-after on an idle system
    N = i(N0),
    L = lists:sort([begin A = t(), receive never -> ok after 1 -> ok end, (t() - A) / 1000 end || _ <- lists:seq(1, N)]),
    out("timer.sleep1ms_p50", lists:nth(N div 2, L), "us"), out("timer.sleep1ms_p99", lists:nth(N * 99 div 100, L), "us");
%% ---------------------------------------------------------------- 10 large binary
run(["bigbin", Mb0, P0]) ->
    Mb = i(Mb0), P = i(P0), Me = self(),
    B = binary:copy(<<7>>, Mb * 1048576), Sz = byte_size(B),
    Ps = [spawn_link(fun() -> bb(Me, Sz) end) || _ <- lists:seq(1, P)],
    [begin [X ! {b, B} || X <- Ps], waitd(P) end || _ <- [1, 2]],
    T0 = t(), [begin [X ! {b, B} || X <- Ps], waitd(P) end || _ <- lists:seq(1, 100)], T1 = t(),
    out("bigbin." ++ Mb0 ++ "MiB.send", (T1 - T0) / (100 * P)),
    T2 = t(), _ = byte_size(binary:copy(B)), T3 = t(),
    out("bigbin.copy", Sz / (T3 - T2), "GB/s");
%% ---------------------------------------------------------------- 11 link / monitor
run(["monitor", N0]) ->
    N = i(N0),
    mon(1000), T0 = t(), mon(N), T1 = t(), out("monitor.spawn_exit_down", (T1 - T0) / N),
    process_flag(trap_exit, true),
    T2 = t(), lnk(N), T3 = t(), out("link.spawn_exit_EXIT", (T3 - T2) / N),
    P = spawn(fun() -> receive stop -> ok end end),
    T4 = t(), mdm(P, N), T5 = t(), out("monitor.mon_demon", (T5 - T4) / N),
    T6 = t(), lul(P, N), T7 = t(), out("link.link_unlink", (T7 - T6) / N);
run(["linkfan", N0]) ->
    %% one process dies, N linked trappers each get EXIT
    N = i(N0), Me = self(),
    H = spawn(fun() -> receive die -> exit(boom) end end),
    [spawn(fun() -> process_flag(trap_exit, true), link(H), Me ! d, receive {'EXIT', H, boom} -> Me ! d end end)
     || _ <- lists:seq(1, N)], waitd(N),
    T0 = t(), H ! die, waitd(N), T1 = t(), out("link.fan_exit", (T1 - T0) / N);
run(["exits", N0]) ->
    %% N processes die at once, each watched by one of N others
    N = i(N0), Me = self(),
    Ps = [spawn(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, N)],
    [spawn(fun() -> R = monitor(process, P), Me ! d, receive {'DOWN', R, process, P, normal} -> Me ! d end end) || P <- Ps],
    waitd(N),
    T0 = t(), [P ! stop || P <- Ps], waitd(N), T1 = t(), out("monitor.exits", (T1 - T0) / N);
%% ---------------------------------------------------------------- 12 CPU scaling
run(["nqueens", N0, D0]) ->
    N = i(N0), D = i(D0), Me = self(),
    T0 = t(), spawn_link(fun() -> nq(Me, N, D, 0, 0, 0, 0) end), R = receive {q, X} -> X end, T1 = t(),
    R = element(N, {1,0,0,2,10,4,40,92,352,724,2680,14200,73712,365596}),
    out("nqueens." ++ N0 ++ ".d" ++ D0, (T1 - T0) / 1.0e6, "ms");
run(["chameneos", M0]) ->
    M = i(M0), Me = self(),
    Mall = spawn_link(fun() -> mall(M) end),
    T0 = t(), Cs = [spawn_link(fun() -> cham(Mall, C, 0, Me) end) || C <- [0, 1, 2, 0, 1, 2, 0, 1]],
    Tot = lists:sum([receive {met, K} -> K end || _ <- Cs]), T1 = t(),
    Tot = 2 * M, out("chameneos", (T1 - T0) / M);
%% ---------------------------------------------------------------- 13 fairness
run(["fair", H0, N0]) ->
    %% H CPU hogs; a pinger and an echo share the schedulers with them
    H = i(H0), N = i(N0), Me = self(),
    Hogs = [spawn(fun() -> hog(0) end) || _ <- lists:seq(1, H)],
    E = spawn_link(fun echo/0),
    spawn_link(fun() -> L = lat(E, N, []), Me ! {l, L} end),
    receive {l, L0} -> L = lists:sort(L0),
        [exit(P, kill) || P <- Hogs],
        out("fair.h" ++ H0 ++ ".p50", lists:nth(N div 2, L) / 1000, "us"),
        out("fair.h" ++ H0 ++ ".p99", lists:nth(N * 99 div 100, L) / 1000, "us") end;
run(["lathog", H0, N0]) ->
    %% how late a 1 ms receive-after wakes up while H hogs run
    H = i(H0), N = i(N0), [spawn(fun() -> hog(0) end) || _ <- lists:seq(1, H)],
    L = lists:sort([begin A = t(), receive never -> ok after 1 -> ok end, (t() - A) / 1000 end || _ <- lists:seq(1, N)]),
    out("timer.sleep1ms_h" ++ H0 ++ "_p50", lists:nth(N div 2, L), "us"), out("timer.sleep1ms_h" ++ H0 ++ "_p99", lists:nth(N * 99 div 100, L), "us");
%% independent pingpong pairs: aggregate message rate
run(["pairs", P0, N0]) ->
    P = i(P0), N = i(N0), Me = self(),
    Ps = [spawn_link(fun() -> B = spawn_link(fun echo/0), receive go -> pp(B, N), Me ! d end end) || _ <- lists:seq(1, P)],
    T0 = t(), [X ! go || X <- Ps], waitd(P), T1 = t(),
    out("pairs." ++ P0, (T1 - T0) / (P * N));
%% ---------------------------------------------------------------- between nodes
run(["node_" ++ _ = Name | Args]) -> nodes:run(Name, [i(A) || A <- Args]);
run(["boot"]) -> out("boot", 0).

echo() -> receive {P, X} -> P ! X, echo(); stop -> ok end.
pp(_, 0) -> ok;
pp(B, N) -> B ! {self(), x}, receive x -> pp(B, N - 1) end.
ppx(_, _, 0) -> ok;
ppx(B, X, N) -> B ! {self(), X}, receive _ -> ppx(B, X, N - 1) end.
lat(_, 0, L) -> L;
lat(E, N, L) -> A = t(), E ! {self(), x}, receive x -> ok end, D = t() - A,
    receive never -> ok after 1 -> ok end, lat(E, N - 1, [D | L]).
hog(X) -> hog((X * 1103515245 + 12345) band 16#7fffffff).

ring(Nx, Me) ->
    receive 0 -> Me ! done, ring(Nx, Me); H -> Nx ! H - 1, ring(Nx, Me) end.

spseq(0) -> ok;
spseq(N) -> Me = self(), spawn(fun() -> Me ! d end), receive d -> spseq(N - 1) end.
spbatch(0) -> ok;
spbatch(N) -> Me = self(), sp1(Me, 1000), waitd(1000), spbatch(N - 1).
sp1(_, 0) -> ok;
sp1(Me, K) -> spawn(fun() -> Me ! d end), sp1(Me, K - 1).
waitd(0) -> ok;
waitd(N) -> receive d -> waitd(N - 1) end.

sky(Par, Num, 1) -> Par ! {sum, Num};
sky(Par, Num, Size) ->
    Me = self(), S = Size div 10,
    [spawn(fun() -> sky(Me, Num + K * S, S) end) || K <- lists:seq(0, 9)],
    Par ! {sum, sky_sum(10, 0)}.
sky_sum(0, A) -> A;
sky_sum(K, A) -> receive {sum, X} -> sky_sum(K - 1, A + X) end.

rss() ->
    erlang:garbage_collect(),
    {ok, B} = file:read_file("/proc/self/statm"),
    [_, R | _] = binary:split(B, <<" ">>, [global]), binary_to_integer(R) * 4096.
cpu() ->
    {ok, B} = file:read_file("/proc/self/stat"),
    [_, Rest] = binary:split(B, <<") ">>), F = binary:split(Rest, <<" ">>, [global]),
    (binary_to_integer(lists:nth(12, F)) + binary_to_integer(lists:nth(13, F))) * 10000000.

cnt(0) -> ok;
cnt(N) -> receive m -> cnt(N - 1) end.
send_n(_, 0) -> ok;
send_n(R, N) -> R ! m, send_n(R, N - 1).

big(Others, R, Me) -> big_send(Others), big(Others, R, length(Others), Me).
big(Others, R, 0, Me) when R > 1 -> big_send(Others), big(Others, R - 1, length(Others), Me);
big(Others, _, 0, Me) -> Me ! d, big_tail(Others);
big(Others, R, K, Me) ->
    receive {ping, P} -> P ! pong, big(Others, R, K, Me);
            pong -> big(Others, R, K - 1, Me) end.
big_tail(O) -> receive {ping, P} -> P ! pong, big_tail(O); stop -> ok end.
big_send(L) -> Me = self(), lists:foreach(fun(P) -> P ! {ping, Me} end, L).

fill(0) -> ok;
fill(N) -> self() ! {junk, N}, fill(N - 1).
srv() -> receive {req, P, R} -> P ! {rep, R}, srv() end.
sr_marked(_, 0) -> ok;
sr_marked(S, N) -> R = make_ref(), S ! {req, self(), R}, receive {rep, R} -> sr_marked(S, N - 1) end.
sr_unmarked(_, 0) -> ok;
sr_unmarked(S, N) -> S ! {req, self(), N}, receive {rep, N} -> sr_unmarked(S, N - 1) end.
gc(_, 0) -> ok;
gc(P, N) -> N = gen_server:call(P, N), gc(P, N - 1).

tm_recv(0) -> ok;
tm_recv(N) -> E = case get(e) of undefined -> X = spawn_link(fun echo/0), put(e, X), X; X -> X end,
    E ! {self(), x}, receive x -> ok after 60000 -> exit(late) end, tm_recv(N - 1).

bb(Me, Sz) -> receive {b, B} when byte_size(B) =:= Sz -> Me ! d, bb(Me, Sz) end.
mon(0) -> ok;
mon(N) -> {P, R} = spawn_monitor(fun() -> ok end), receive {'DOWN', R, process, P, normal} -> mon(N - 1) end.
lnk(0) -> ok;
lnk(N) -> P = spawn_link(fun() -> ok end), receive {'EXIT', P, normal} -> lnk(N - 1) end.
mdm(_, 0) -> ok;
mdm(P, N) -> R = erlang:monitor(process, P), erlang:demonitor(R, [flush]), mdm(P, N - 1).
lul(_, 0) -> ok;
lul(P, N) -> link(P), unlink(P), lul(P, N - 1).

%% nqueens: an actor per partial board down to depth D, sequential below
nq(Par, N, D, Row, C, L, R) when Row < D ->
    Me = self(), Free = ((1 bsl N) - 1) band bnot (C bor L bor R),
    K = nq_spawn(Me, N, D, Row, C, L, R, Free, 0),
    Par ! {q, nq_sum(K, 0)};
nq(Par, N, _, Row, C, L, R) -> Par ! {q, nqs((1 bsl N) - 1, N - Row, C, L, R)}.
nq_spawn(_, _, _, _, _, _, _, 0, K) -> K;
nq_spawn(Me, N, D, Row, C, L, R, Free, K) ->
    B = Free band -Free,
    spawn_link(fun() -> nq(Me, N, D, Row + 1, C bor B, (L bor B) bsl 1, (R bor B) bsr 1) end),
    nq_spawn(Me, N, D, Row, C, L, R, Free bxor B, K + 1).
nq_sum(0, A) -> A;
nq_sum(K, A) -> receive {q, X} -> nq_sum(K - 1, A + X) end.
nqs(_, 0, _, _, _) -> 1;
nqs(All, Left, C, L, R) -> nqf(All, Left, C, L, R, All band bnot (C bor L bor R), 0).
nqf(_, _, _, _, _, 0, A) -> A;
nqf(All, Left, C, L, R, Free, A) ->
    B = Free band -Free,
    nqf(All, Left, C, L, R, Free bxor B, A + nqs(All, Left - 1, C bor B, ((L bor B) bsl 1) band All, (R bor B) bsr 1)).

mall(0) -> receive {meet, P, _} -> P ! stop, mall(0) end;
mall(M) ->
    receive {meet, A, CA} -> receive {meet, B, CB} -> A ! {with, CB}, B ! {with, CA}, mall(M - 1) end end.
cham(Mall, C, K, Me) ->
    Mall ! {meet, self(), C},
    receive {with, O} -> cham(Mall, if C =:= O -> C; true -> 3 - C - O end, K + 1, Me);
            stop -> Me ! {met, K} end.
