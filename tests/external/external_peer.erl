%% SPDX-License-Identifier: Apache-2.0
%% Erlang's side of tests/external_erlang.py: it reads and writes terms for peer.c, by frames of 32 bits of size on stdin and stdout.
-module(external_peer).
-export([main/0]).

main() ->
    Port = open_port({fd, 0, 1}, [binary, {packet, 4}, eof]),
    loop(Port, []).

%% 1: terms of theirs, to be read and written again. 2: make terms. 3: ours as they have read and written them. 4: the end.
loop(Port, Ours) ->
    receive
        {Port, {data, <<1, Batch/binary>>}} ->
            Port ! {self(), {command, [frame(term_to_binary(binary_to_term(One), options(One))) || One <- split(Batch)]}},
            loop(Port, Ours);
        {Port, {data, <<2, Count:32, Seed:32>>}} ->
            rand:seed(exsss, Seed),
            Terms = [term(3) || _ <- lists:seq(1, Count)],
            Port ! {self(), {command, [frame(term_to_binary(T, options(T))) || T <- Terms]}},
            loop(Port, Terms);
        {Port, {data, <<3, Batch/binary>>}} ->
            Port ! {self(), {command, compare(Ours, split(Batch))}},
            loop(Port, []);
        {Port, {data, <<4>>}} -> halt(0);
        {Port, eof} -> halt(1)
    end.

frame(Bytes) -> <<(byte_size(Bytes)):32, Bytes/binary>>.

split(<<Size:32, One:Size/binary, Rest/binary>>) -> [One | split(Rest)];
split(<<>>) -> [].

%% Atoms as UTF-8 and as Latin-1, floats as text now and then: all are read.
options(What) -> [{minor_version, erlang:phash2(What, 3)}].

compare([], []) -> <<"ok">>;
compare([Ours | Rest], [One | More]) ->
    case catch binary_to_term(One) of
        Ours -> compare(Rest, More);
        Other -> unicode:characters_to_binary(io_lib:format("~0tp came back as ~0tp", [Ours, Other]))
    end.

term(Depth) ->
    case rand:uniform(case Depth of 0 -> 9; _ -> 16 end) of
        1 -> rand:uniform(300) - 1;
        2 -> integer();
        3 -> float();
        4 -> atom();
        5 -> rand:bytes(rand:uniform(8) - 1);
        6 -> bits();
        7 -> [rand:uniform(256) - 1 || _ <- lists:seq(1, rand:uniform(6))];
        8 -> identifier();
        9 -> empty(rand:uniform(7));
        10 -> list_to_tuple(terms(Depth));
        11 -> terms(Depth);
        12 -> terms(Depth) ++ term(0);
        13 -> maps:from_list([{term(Depth - 1), T} || T <- terms(Depth)]);
        14 -> maps:from_list([{K, K} || K <- lists:seq(1, rand:uniform(40))]);
        15 -> function(term(Depth - 1));
        16 -> erlang:make_tuple(rand:uniform(300), term(0))
    end.

terms(Depth) -> [term(Depth - 1) || _ <- lists:seq(1, rand:uniform(5) - 1)].

empty(1) -> [];
empty(2) -> {};
empty(3) -> #{};
empty(4) -> <<>>;
empty(5) -> rand:bytes(70);
empty(6) -> binary:copy(rand:bytes(1), 1000);
empty(7) -> lists:duplicate(300, $a).

integer() ->
    Edge = case rand:uniform(20) of
        20 -> 1 bsl rand:uniform(3000);
        N -> element(N rem 7 + 1, {0, 255, 1 bsl 31, 1 bsl 59, 1 bsl 60, 1 bsl 63, 1 bsl 64})
    end,
    Sign = 2 * rand:uniform(2) - 3,
    Sign * Edge + rand:uniform(5) - 3.

float() ->
    case <<(rand:uniform(1 bsl 58)):58, 0:6>> of
        <<F/float>> -> F;
        _ -> rand:uniform() * 100
    end.

atom() ->
    case rand:uniform(20) of
        19 -> list_to_atom(lists:duplicate(255, $a));
        20 -> list_to_atom(lists:duplicate(255, 16#1F600));
        N -> element(N rem 7 + 1, {ok, '', true, nil, 'é', '日本', '😀'})
    end.

bits() ->
    Size = rand:uniform(60),
    <<Bits:Size/bitstring, _/bitstring>> = <<(rand:uniform(1 bsl 60)):64>>,
    Bits.

identifier() ->
    case rand:uniform(5) of
        1 -> self();
        2 -> make_ref();
        3 -> hd(erlang:ports());
        4 -> fun lists:map/2;
        5 -> whereis(init)
    end.

function(T) ->
    case rand:uniform(3) of
        1 -> fun() -> T end;
        2 -> fun(X) -> [X | T] end;
        3 -> F = fun(X) -> {X, T} end, fun(X, Y) -> F(X) =:= Y end
    end.
