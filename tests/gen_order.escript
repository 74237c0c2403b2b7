#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% Writes src/term/order_test.inc: pairs of terms in the external format, and what Erlang says about them.
%% Usage: escript tests/gen_order.escript > src/term/order_test.inc    (the seed is fixed: the same release gives the same file)
%% Row: X(hex of A, hex of B, sign of A to B, A =:= B, sign of A to B as keys of maps)

-mode(compile).

main(_) ->
    rand:seed(exsss, {1, 2, 3}),
    io:put_chars("/* Made by tests/gen_order.escript with Erlang/OTP " ++ erlang:system_info(otp_release) ++ ". */\n"),
    Fixed = [{A, B} || A <- edges(), B <- edges(), A < B orelse A =:= B, rand:uniform(30) =:= 1],
    Random = [pair(1 + I rem 4) || I <- lists:seq(1, 500)],
    lists:foreach(fun row/1, [P || P = {A, B} <- Fixed ++ Random, erlang:external_size(A) + erlang:external_size(B) < 150]).

row({A, B}) ->
    io:format("X(\"~s\", \"~s\", ~b, ~p, ~b)~n", [hex(A), hex(B), sign(A, B), A =:= B, sign(#{A => x}, #{B => x})]).

sign(A, B) when A < B -> -1;
sign(A, B) when A > B -> 1;
sign(A, B) when A == B -> 0.

hex(T) -> [io_lib:format("~2.16.0b", [X]) || <<X>> <= term_to_binary(T, [{minor_version, 2}])].

edges() ->
    Ints = lists:append([[1 bsl N - 1, 1 bsl N, (1 bsl N) + 1, -(1 bsl N) - 1, -(1 bsl N), 1 - (1 bsl N)]
                         || N <- [0, 1, 31, 52, 53, 54, 59, 60, 61, 63, 64, 65, 100, 128, 1023, 1024]]),
    Floats = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, -1.5, 5.0e-324, 1.0e-300, 9007199254740991.0, 9007199254740992.0,
              9007199254740994.0, math:pow(2, 60), -math:pow(2, 60), math:pow(2, 59), math:pow(2, 64), math:pow(2, 65),
              math:pow(2, 100), math:pow(2, 128), math:pow(2, 1023), 1.7976931348623157e308, -1.7976931348623157e308],
    Ints ++ Floats ++ far().

far() ->
    [binary_to_term(<<131, 88, (atom(N))/binary, Id:32, Serial:32, Creation:32>>)
     || N <- [<<"a@h">>, <<"b@h">>], Id <- [1, 2], Serial <- [0, 3], Creation <- [5, 6]] ++
    [binary_to_term(<<131, 120, (atom(N))/binary, Id:64, Creation:32>>)
     || N <- [<<"a@h">>, <<"b@h">>], Id <- [1, 2, 1 bsl 40], Creation <- [5, 6]] ++
    [binary_to_term(<<131, 90, 3:16, (atom(N))/binary, Creation:32, W1:32, W2:32, 9:32>>)
     || N <- [<<"a@h">>, <<"b@h">>], W1 <- [1, 2], W2 <- [1, 4000000000], Creation <- [5, 6]] ++
    [binary_to_term(<<131, 90, 5:16, (atom(<<"a@h">>))/binary, 5:32, 1:32, 1:32, 9:32, W4:32, 0:32>>) || W4 <- [0, 7]].

atom(Name) -> <<119, (byte_size(Name)), Name/binary>>.

%% Half of the pairs differ in little: order is decided late.
pair(Depth) ->
    A = term(Depth),
    {A, case rand:uniform(4) of 1 -> term(Depth); 2 -> A; _ -> change(A) end}.

pick(L) -> lists:nth(rand:uniform(length(L)), L).
several(F) -> [F() || _ <- lists:seq(1, rand:uniform(4) - 1)].

term(0) -> leaf();
term(Depth) ->
    Sub = fun() -> term(rand:uniform(Depth) - 1) end,
    case rand:uniform(6) of
        1 -> leaf();
        2 -> several(Sub);
        3 -> several(Sub) ++ Sub();
        4 -> maps:from_list([{Sub(), Sub()} || _ <- lists:seq(1, rand:uniform(5) - 1)]);
        _ -> list_to_tuple(several(Sub))
    end.

leaf() ->
    case rand:uniform(8) of
        1 -> rand:uniform(4) - 2;
        2 -> float(rand:uniform(4) - 2);
        3 -> pick(edges());
        4 -> pick([a, b, ab, '', 'A', 'é', 'z', '語', '😀', aaaaaaaa, aaaaaaab, aaaaaaaaa]);
        5 -> bits();
        6 -> pick([fun a:b/1, fun a:b/2, fun a:c/1, fun b:a/1, fun a:b/0]);
        7 -> pick([[], {}, #{}, <<>>]);
        8 -> pick(far())
    end.

bits() ->
    N = pick([0, 1, 3, 7, 8, 9, 12, 16, 24, 31, 64, 65]),
    <<X:N/bits, _/bits>> = <<(pick([0, 1, 255, 1 bsl 127, rand:uniform(1 bsl 128)])):128>>,
    X.

change(T) when is_integer(T) -> pick([T + 1, T - 1, -T, try float(T) catch _:_ -> T end]);
change(T) when is_float(T) -> pick([trunc(T), T + 1, -T, trunc(T) + 1]);
change(T) when is_tuple(T), tuple_size(T) > 0 ->
    I = rand:uniform(tuple_size(T)),
    setelement(I, T, change(element(I, T)));
change([H | T]) -> pick([[change(H) | T], [H | change(T)]]);
change(T) when is_map(T), map_size(T) > 0 ->
    {K, V} = pick(maps:to_list(T)),
    pick([T#{K := change(V)}, (maps:remove(K, T))#{change(K) => V}]);
change(T) when is_bitstring(T) -> pick([<<T/bits, 0:1>>, <<T/bits, 1:8>>, <<0:1, T/bits>>]);
change(_) -> leaf().
