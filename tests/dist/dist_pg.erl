%% SPDX-License-Identifier: Apache-2.0
%% What tests/dist_pg.py has an Erlang node do with the process groups of mote nodes (tests/dist/pg_node.c): erl ... -run dist_pg main PROGRAM COOKIE
%% Prints TAP. After each test Erlang's own pg is still the process that it was.
-module(dist_pg).
-export([main/1]).
-define(T, 120000).
-define(HOST, 'host@127.0.0.1').

main(_) ->
    {ok, _} = pg:start_link(), {ok, _} = pg:start_link(other),
    All = tests(), Pids = [whereis(pg), whereis(other)],
    Bad = [1 || {I, {Name, F}} <- lists:zip(lists:seq(1, length(All)), All), dist_live:one(I, {Name, fun() -> R = F(), Pids = [whereis(pg), whereis(other)], R end}) > 0],
    halt(min(length(Bad), 1)).

%% --------------------------------------------------------------------------------------------------- tools

do({N, _}, Command) -> do(N, Command);
do(N, Command) -> {keeper, N} ! erlang:insert_element(1, Command, self()), receive {keeper, N, A} -> A after ?T -> exit({no_answer, N, Command}) end.
told({N, _}) -> receive {told, N, {_, What, Group, Pids}} -> {What, Group, Pids} after ?T -> exit(not_told) end.

idle() -> spawn(fun() -> receive stop -> ok end end).
sorted(L) -> lists:sort(L).
%% Looks until a view is what it should be.
until(Want, See) -> until(Want, See, 2000).
until(Want, See, 0) -> exit({wants, Want, sees, See()});
until(Want, See, N) -> case See() of Want -> ok; _ -> receive after 10 -> ok end, until(Want, See, N - 1) end.
erlang_has(G, Want) -> erlang_has(pg, G, Want).
erlang_has(S, G, Want) -> until(sorted(Want), fun() -> sorted(pg:get_members(S, G)) end).
mote_has(M, G, Want) -> mote_has(M, pg, G, Want).
mote_has(M, S, G, Want) -> until(sorted(Want), fun() -> sorted(do(M, {members, S, G})) end).

scope(M) -> scope(M, pg).
scope(M, S) -> ok = do(M, {start, S}).
member(M, G) -> P = do(M, {idle}), ok = do(M, {join, pg, G, P}), P.

with(F) -> [with(K, F) || K <- ["hidden", "visible"]], ok.
with(Kind, F) ->
    M = node_of(Kind), R = F(M), dist_live:stop(M), until([], fun pg:which_groups/0), R.
node_of(Kind) -> dist_live:mote("p" ++ integer_to_list(erlang:unique_integer([positive])), [{kind, Kind}]).
meet({N, _}) -> true = net_kernel:connect_node(N).

%% --------------------------------------------------------------------------------------------------- tests

tests() -> [
    {"members of before the connection, ours and theirs", fun() -> with(fun before/1) end},
    {"it dials, and its scope comes later", fun() -> with(fun it_dials/1) end},
    {"joining and leaving, once and more often", fun() -> with(fun changes/1) end},
    {"many at once: lists of pids", fun() -> with("hidden", fun lists/1) end},
    {"ends of members", fun() -> with(fun ends/1) end},
    {"groups that are watched, there and here", fun() -> with("visible", fun watched/1) end},
    {"another scope is another", fun() -> with("visible", fun scopes/1) end},
    {"all kinds of names", fun() -> with("hidden", fun names/1) end},
    {"a storm of changes from both", fun() -> with(fun storms/1) end},
    {"connections that end and come again", fun() -> with(fun flickers/1) end},
    {"a node that is killed", fun killed/0},
    {"a scope of Erlang's that ends and is started again", fun restarted/0},
    {"three nodes", fun three/0},
    {"a scope for the nodes that are met without one", fun() -> scope(?HOST), {ok, "erl_call meets it"} end}].

before(M) ->
    E = idle(), pg:join(g, E), scope(M), P = member(M, g), [] = do(M, {members, pg, none}), meet(M),
    erlang_has(g, [E, P]), mote_has(M, g, [E, P]), [P, E] = do(M, {members, pg, g}), [P] = do(M, {local, pg, g}), [E] = pg:get_local_members(g), [g] = do(M, {names, pg}), pg:leave(g, E), ok.

it_dials(M) ->
    E = idle(), pg:join(g, E), ok = do(M, {connect, node()}), scope(M), mote_has(M, g, [E]), P = member(M, g), erlang_has(g, [E, P]), pg:leave(g, E), mote_has(M, g, [P]).

changes(M) ->
    scope(M), meet(M), P = member(M, g), erlang_has(g, [P]), ok = do(M, {join, pg, g, P}), ok = do(M, {join, pg, h, P}), erlang_has(g, [P, P]), erlang_has(h, [P]),
    ok = do(M, {leave, pg, g, P}), erlang_has(g, [P]), ok = do(M, {leave, pg, g, P}), erlang_has(g, []), 'MOTE_NOMATCH' = do(M, {leave, pg, g, P}), [h] = pg:which_groups(),
    E = idle(), pg:join(g, E), pg:join(g, E), mote_has(M, g, [E, E]), 'MOTE_NOMATCH' = do(M, {leave, pg, g, E}), 'MOTE_EARG' = do(M, {join, pg, g, E}), pg:leave(g, E), mote_has(M, g, [E]), pg:leave(g, E), mote_has(M, g, []),
    [h] = do(M, {names, pg}), ok.

lists(M) ->
    scope(M), meet(M), Es = [idle() || _ <- lists:seq(1, 1000)], pg:join(g, Es), mote_has(M, g, Es), {Some, Rest} = lists:split(300, Es), pg:leave(g, Some), mote_has(M, g, Rest),
    [P ! stop || P <- Rest], mote_has(M, g, []).

ends(M) ->
    scope(M), meet(M), P = member(M, g), [ok = do(M, {join, pg, G, P}) || G <- [g, h, i]], E = idle(), [pg:join(G, E) || G <- [g, g, h]], erlang_has(g, [P, P, E, E]), mote_has(M, g, [P, P, E, E]),
    ok = do(M, {kill, P}), erlang_has(g, [E, E]), erlang_has(i, []), E ! stop, mote_has(M, g, []), mote_has(M, h, []), until([], fun() -> do(M, {names, pg}) end).

watched(M) ->
    scope(M), meet(M), E = idle(), [] = do(M, {monitor, pg, g}), pg:join(g, E), {join, g, [E]} = told(M), pg:join(g, [E, E]), {join, g, [E, E]} = told(M), pg:leave(g, E), {leave, g, [E]} = told(M),
    Ref = case erlang:function_exported(pg, monitor, 1) of true -> {R, _} = pg:monitor(g), R; false -> none end,
    P = member(M, g), {join, g, [P]} = told(M), Ref =:= none orelse receive {Ref, join, g, [P]} -> ok after ?T -> exit(not_told) end,
    ok = do(M, {leave, pg, g, P}), {leave, g, [P]} = told(M), Ref =:= none orelse receive {Ref, leave, g, [P]} -> ok after ?T -> exit(not_told) end,
    E ! stop, {leave, g, [E]} = told(M), {leave, g, [E]} = told(M), Ref =:= none orelse pg:demonitor(Ref), ok.

scopes(M) ->
    scope(M, other), meet(M), E = idle(), F = idle(), pg:join(other, g, E), pg:join(g, F), mote_has(M, other, g, [E]), scope(M), mote_has(M, g, [F]), P = do(M, {idle}), ok = do(M, {join, other, g, P}), erlang_has(other, g, [E, P]),
    erlang_has(g, [F]), pg:leave(other, g, E), pg:leave(g, F), ok = do(M, {leave, other, g, P}), erlang_has(other, g, []), ok.

names(M) ->
    scope(M), meet(M), E = idle(),
    [begin P = member(M, G), pg:join(G, E), erlang_has(G, [P, E]), mote_has(M, G, [P, E]), pg:leave(G, E) end
     || G <- [a, 'Ärmel', 1, -1, 1.0, 1 bsl 70, <<"binary">>, <<1:3>>, "list", [], {}, {a, [b, {<<"c">>}]}, #{a => <<"b">>, 1 => 1.0}, self(), make_ref(), fun lists:map/2]],
    #{} = maps:from_list([{G, x} || G <- do(M, {names, pg})]), ok.

both_see(M) ->
    Pids = fun() -> sorted([{G, sorted(pg:get_members(G))} || G <- pg:which_groups()]) end, Theirs = fun() -> sorted([{G, sorted(do(M, {members, pg, G}))} || G <- do(M, {names, pg})]) end,
    until(true, fun() -> Pids() =:= Theirs() end).

storm(0, Ps) -> [P ! stop || P <- Ps];
storm(N, Ps) ->
    P = lists:nth(rand:uniform(length(Ps)), Ps), G = rand:uniform(5) - 1,
    case rand:uniform(8) of 1 -> P ! stop, storm(N - 1, [idle() | lists:delete(P, Ps)]); K when K < 5 -> pg:join(G, P), storm(N - 1, Ps); _ -> pg:leave(G, P), storm(N - 1, Ps) end.

storms(M) ->
    scope(M), meet(M), {keeper, element(1, M)} ! {self(), storm, pg, 3000}, Ps = [idle() || _ <- lists:seq(1, 20)], [pg:join(5, P) || P <- Ps], storm(3000, Ps),
    receive {keeper, _, ok} -> ok after ?T -> exit(no_end) end, both_see(M).

flickers(M = {N, _}) ->
    scope(M), E = idle(), pg:join(g, E), meet(M), P = member(M, g),
    [begin E2 = idle(), pg:join(g, E2), P2 = member(M, g), ok = do(M, {leave, pg, g, P2}), cut(N, I rem 2),
        E2 ! stop, meet(M) end || I <- lists:seq(1, 30)],
    again(M), erlang_has(g, [E, P]), mote_has(M, g, [E, P]), pg:leave(g, E), ok.
cut(N, 0) -> erlang:disconnect_node(N);
cut(N, 1) -> monitor_node(N, true), {keeper, N} ! {idle(), disconnect, node()}, receive {nodedown, N} -> ok after ?T -> exit(no_nodedown) end.
%% Erlang's pg misses members when it hears of the end of a connection after it has heard of the next: one more, without haste, is what helps it.
again({N, _}) ->
    monitor_node(N, true), erlang:disconnect_node(N), receive {nodedown, N} -> ok after ?T -> exit(no_nodedown) end, receive after 200 -> ok end, true = net_kernel:connect_node(N), flush().
flush() -> receive _ -> flush() after 0 -> ok end.

killed() ->
    [begin M = node_of(K), scope(M), E = idle(), pg:join(g, E), meet(M), P = member(M, g), erlang_has(g, [E, P]), dist_live:kill9(M), erlang_has(g, [E]), pg:leave(g, E) end || K <- ["hidden", "visible"]],
    M = node_of("hidden"), V = {VN, _} = dist_live:start_victim("grouped"), scope(M), {idle, VN} ! {run, self(), fun() -> {ok, _} = pg:start(pg), pg:join(g, whereis(idle)), whereis(idle) end},
    P = receive {ran, R} -> R after ?T -> exit(no_victim) end, ok = do(M, {connect, VN}), mote_has(M, g, [P]), dist_live:kill9(V), mote_has(M, g, []), dist_live:stop(M), until([], fun pg:which_groups/0).

restarted() ->
    M = node_of("visible"), scope(M, third), meet(M), {ok, A} = pg:start(third), E = idle(), pg:join(third, g, E), mote_has(M, third, g, [E]), P = do(M, {idle}), ok = do(M, {join, third, g, P}), erlang_has(third, g, [E, P]),
    exit(A, kill), mote_has(M, third, g, [P]), until(undefined, fun() -> whereis(third) end), {ok, B} = pg:start(third), erlang_has(third, g, [P]), pg:join(third, g, E), mote_has(M, third, g, [E, P]),
    dist_live:stop(M), erlang_has(third, g, [E]), exit(B, kill), ok.

three() ->
    A = node_of("visible"), B = {BN, _} = node_of("visible"), E = idle(), pg:join(g, E), [begin scope(X), meet(X) end || X <- [A, B]], ok = do(A, {connect, BN}), P = member(A, g), Q = member(B, g),
    erlang_has(g, [E, P, Q]), [mote_has(X, g, [E, P, Q]) || X <- [A, B]], dist_live:stop(B), erlang_has(g, [E, P]), mote_has(A, g, [E, P]), pg:leave(g, E), dist_live:stop(A), until([], fun pg:which_groups/0).
