%% SPDX-License-Identifier: Apache-2.0
%% Workloads between two nodes on this machine: this one and another that it starts, with a port mapper of their own. All end with this one.
-module(nodes).
-export([run/2, main/2, echo/0, sink/2, one/1, nothing/0]).

-define(SECRET, of_two_programs_that_measure_and_end).

%% They are started as programs: only so Erlang takes another port mapper than that of this machine.
run(Name, Args) ->
    {ok, L} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(L),
    gen_tcp:close(L),
    Mapper = open_port({spawn_executable, os:find_executable("epmd")}, [{args, ["-port", i(Port), "-address", "127.0.0.1"]}]),
    {os_pid, Pid} = erlang:port_info(Mapper, os_pid),
    try
        listens(Port, 200),
        B = node_of("bench_b@127.0.0.1", Port, ["-eval", "io:get_line(\"\"), halt()."]),
        A = node_of("bench_a@127.0.0.1", Port, ["-eval", lists:flatten(io_lib:format("nodes:main(~p, ~p).", [Name, Args]))]),
        0 = show(A),
        port_close(B)
    after
        os:cmd("kill " ++ i(Pid))
    end.

listens(Port, K) when K > 0 ->
    case gen_tcp:connect({127, 0, 0, 1}, Port, []) of {ok, S} -> gen_tcp:send(S, <<0, 1, $n>>), receive {tcp_closed, S} -> ok end; % it complains of who asks nothing
        _ -> timer:sleep(10), listens(Port, K - 1) end.
node_of(Name, Port, Last) ->
    S = i(erlang:system_info(schedulers)),
    open_port({spawn_executable, os:find_executable("erl")}, [exit_status, {env, [{"ERL_EPMD_PORT", i(Port)}, {"ERL_EPMD_ADDRESS", "127.0.0.1"}]},
        {args, ["+S", S ++ ":" ++ S, "-noshell", "-name", Name, "-setcookie", atom_to_list(?SECRET), "-pa", filename:dirname(code:which(?MODULE)) | Last]}]).
show(A) -> receive {A, {data, Text}} -> io:put_chars(Text), show(A); {A, {exit_status, Code}} -> Code end.

main(Name, Args) ->
    Self = self(),
    {P, R} = spawn_monitor(fun() -> connect('bench_b@127.0.0.1', 600), work(Name, 'bench_b@127.0.0.1', Args), Self ! ok end),
    receive ok -> halt(0); {'DOWN', R, process, P, Why} -> io:format(standard_error, "~p~n", [Why]), halt(1) end.
connect(B, K) when K > 0 ->
    case net_kernel:connect_node(B) of true -> timer:sleep(100); _ -> timer:sleep(50), connect(B, K - 1) end.

work("node_pingpong", B, [N]) ->
    E = spawn_link(B, ?MODULE, echo, []), pp(E, 500), T0 = t(), pp(E, N), out("node.pingpong", (t() - T0) / N);
work("node_flood", B, [S, M]) ->
    Each = M div S, R = spawn_link(B, ?MODULE, sink, [self(), Each * S]),
    T0 = t(), [spawn_link(fun() -> flood(R, Each) end) || _ <- lists:seq(1, S)],
    receive d -> out("node.flood." ++ i(S), (t() - T0) / (Each * S)) end;
work("node_binary", B, [Size, N]) ->
    Bin = binary:copy(<<1>>, Size),
    binaries(B, Bin, 2), T0 = t(), binaries(B, Bin, N), T = (t() - T0) / N,
    out("node.binary." ++ i(Size), T), out("node.binary." ++ i(Size) ++ ".rate", Size / T, "GB/s");
work("node_spawn", B, [N]) ->
    heard(B, 100), T0 = t(), heard(B, N), T1 = t(), watched(B, N), T2 = t(),
    [erpc:call(B, ?MODULE, nothing, []) || _ <- lists:seq(1, N)], T3 = t(),
    out("node.spawn_reply", (T1 - T0) / N), out("node.spawn_monitor_down", (T2 - T1) / N), out("node.call", (T3 - T2) / N);
work("node_connect", B, [N]) ->
    L = lists:sort([begin erlang:monitor_node(B, true), erlang:disconnect_node(B), receive {nodedown, B} -> timer:sleep(20) end,
                          T0 = t(), true = net_kernel:connect_node(B), t() - T0 end || _ <- lists:seq(1, N)]),
    out("node.connect", lists:nth(N div 2 + 1, L));
work("node_mixed", B, [N]) ->
    E = spawn_link(B, ?MODULE, echo, []), Bin = binary:copy(<<1>>, 64 bsl 20), R = spawn_link(B, ?MODULE, sink, [self(), 1 bsl 30]),
    S = spawn(fun() -> stream(R, Bin) end), timer:sleep(300),
    L = lists:sort([begin T0 = t(), pp(E, 1), T1 = t(), timer:sleep(2), T1 - T0 end || _ <- lists:seq(1, N)]), exit(S, kill),
    out("node.mixed.p50", lists:nth(N div 2 + 1, L)), out("node.mixed.p99", lists:nth(N * 99 div 100 + 1, L)).

t() -> erlang:monotonic_time(nanosecond).
out(Name, V) -> out(Name, V, "ns").
out(Name, V, Unit) -> io:format("~s ~.3f ~s~n", [Name, float(V), Unit]).
i(N) -> integer_to_list(N).

echo() -> receive {P, X} -> P ! X, echo() end.
pp(_, 0) -> ok;
pp(E, N) -> E ! {self(), x}, receive x -> pp(E, N - 1) end.
sink(P, 0) -> P ! d;
sink(P, N) -> receive _ -> sink(P, N - 1) end.
flood(_, 0) -> ok;
flood(R, N) -> R ! {msg, N}, flood(R, N - 1).
binaries(B, Bin, N) -> R = spawn_link(B, ?MODULE, sink, [self(), N]), send(R, Bin, N), receive d -> ok end.
send(_, _, 0) -> ok;
send(R, Bin, N) -> R ! Bin, send(R, Bin, N - 1).
stream(R, Bin) -> R ! Bin, stream(R, Bin).
one(P) -> P ! d.
nothing() -> [].
heard(_, 0) -> ok;
heard(B, N) -> spawn(B, ?MODULE, one, [self()]), receive d -> heard(B, N - 1) end.
watched(_, 0) -> ok;
watched(B, N) -> {_, R} = spawn_monitor(B, ?MODULE, nothing, []), receive {'DOWN', R, process, _, _} -> watched(B, N - 1) end.
