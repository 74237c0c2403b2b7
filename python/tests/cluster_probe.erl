%% SPDX-License-Identifier: Apache-2.0
%% What test_cluster.py asks of a node: the same as its class Probe, in Erlang.
-module(cluster_probe).
-behaviour(gen_server).
-export([start/0, init/1, handle_call/3, handle_cast/2, handle_info/2]).

start() ->
    {ok, _} = gen_server:start({local, probe}, ?MODULE, [], []),
    io:format("ready~n").

init(_) -> {ok, 0}.

handle_call({add, K}, _, N) -> {reply, N + K, N + K};
handle_call(idle, _, N) -> {reply, spawn(fun idle/0), N};
handle_call({watch, How, Target, To}, _, N) -> {reply, spawn(fun() -> watch(How, Target, To) end), N};
handle_call({ask, Where, Request}, _, N) -> {reply, ask(Where, Request), N};
handle_call({flood, To, Count}, _, N) ->
    spawn(fun() -> [To ! {n, I} || I <- lists:seq(1, Count)] end),
    {reply, ok, N};
handle_call({count, Count, To}, _, N) -> {reply, spawn(fun() -> To ! {counted, count(1, Count)} end), N};
handle_call({exit, Pid, Reason}, _, N) -> {reply, exit(Pid, Reason), N};
handle_call({never}, _, N) -> {noreply, N};
handle_call(halt, _, N) -> {stop, on_purpose, N}.

handle_cast({set, K}, _) -> {noreply, K}.

handle_info({echo, To, X}, N) ->
    To ! {echo, self(), X},
    {noreply, N};
handle_info(_, N) -> {noreply, N}.

idle() ->
    receive
        {exit, Reason} -> exit(Reason);
        {echo, To, X} -> To ! {echo, self(), X}, idle()
    end.

watch(How, Target, To) ->
    process_flag(trap_exit, true),
    case How of
        link -> link(Target);
        monitor -> monitor(process, Target)
    end,
    To ! {watching, self()},
    receive
        {'EXIT', From, Reason} -> To ! {saw, From, Reason};
        {'DOWN', _, process, From, Reason} -> To ! {saw, From, Reason}
    end.

ask(Where, Request) ->
    try gen_server:call(Where, Request) of
        Answer -> {ok, Answer}
    catch
        exit:{Reason, _} -> {error, Reason}
    end.

count(I, Count) when I > Count -> ok;
count(I, Count) ->
    receive
        {n, I} -> count(I + 1, Count);
        {n, Other} -> {expected, I, Other}
    end.
