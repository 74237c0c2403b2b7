#!/usr/bin/env escript
%%! +fnu
%% SPDX-License-Identifier: Apache-2.0
%% Writes src/term/print_test.inc: random terms as ~w writes them (which never makes strings), and what ~0p makes of them;
%% floats by their bits, and as Erlang writes them.
%% Usage: tests/gen_print.escript [terms floats [seed]] > src/term/print_test.inc

main([]) -> main(["300", "150"]);
main([Terms, Floats]) -> main([Terms, Floats, "1"]);
main([Terms, Floats, Seed]) ->
    rand:seed(exsss, list_to_integer(Seed)),
    io:put_chars("/* Made by tests/gen_print.escript with OTP " ++ erlang:system_info(otp_release) ++ ". */\n"),
    io:put_chars("static const struct { const char *source, *printed; } printed_terms[] = {\n"),
    [line(T) || T <- fixed() ++ [term(4) || _ <- lists:seq(1, list_to_integer(Terms))]],
    io:put_chars("};\nstatic const struct { uint64_t bits; const char *printed; } printed_floats[] = {\n"),
    [float_line(F) || F <- floats(list_to_integer(Floats))],
    io:put_chars("};\n").

line(T) -> io:format("    {\"~s\", \"~s\"},~n", [c(io_lib:format("~w", [T])), c(io_lib:format("~0p", [T]))]).

float_line(F) ->
    <<Bits:64>> = <<F/float>>,
    io:format("    {0x~16.16.0b, \"~s\"},~n", [Bits, c(io_lib:format("~0p", [F]))]).

%% The UTF-8 of a text as the inside of a C string.
c(Text) -> [c_byte(B) || <<B>> <= unicode:characters_to_binary(Text)].
c_byte($") -> "\\\"";
c_byte($\\) -> "\\\\";
c_byte($?) -> "\\?";
c_byte(B) when B >= $\s, B =< $~ -> B;
c_byte(B) -> io_lib:format("\\~3.8.0b", [B]).

fixed() ->
    Words = ["after", "begin", "case", "try", "cond", "catch", "andalso", "orelse", "end", "fun", "if", "let", "of", "receive",
             "when", "bnot", "not", "div", "rem", "band", "and", "bor", "bxor", "bsl", "bsr", "or", "xor", "maybe", "else"],
    [list_to_atom(W) || W <- Words] ++ [list_to_atom([C]) || C <- lists:seq(0, 1100)] ++
    [list_to_atom([$a, C]) || C <- lists:seq(0, 300)] ++ [[$a, C] || C <- lists:seq(0, 300)] ++ [<<C>> || C <- lists:seq(0, 255)] ++
    [fun M:F/A || {M, F, A} <- [{lists, map, 2}, {'and', 'end', 0}, {'a b', 'A', 255}, {'a\n', 'a\'\\', 1}, {'', '', 1}, {a, x@_1, 1},
                                {'\x{7f}', '\t', 1}, {'a.b', '_', 1}, {'\e\b', 'x\r', 1}, {'a"', aB_9, 3}]] ++
    [{}, [], #{}, <<>>, [[]], [{}|x], [97|b], [97, 98|c], [[1|2]|3], #{1 => 2, 1.0 => 3, a => 1, {a} => 5, "x" => 4, <<"b">> => 6},
     1 bsl 60, -(1 bsl 60), -(1 bsl 60) - 1, (1 bsl 64) - 1, 1 bsl 64, -(1 bsl 64), 1 bsl 20000, -(1 bsl 8192) - 1].

floats(N) ->
    Powers = [math:pow(2, E) || E <- lists:seq(-1074, 1023, 3)],
    Tens = [list_to_float("1.0e" ++ integer_to_list(E)) || E <- lists:seq(-307, 308)],
    [0.0, -0.0, 5.0e-324, 1.7976931348623157e308, 2.2250738585072014e-308, 2.225073858507201e-308, 4503599627370497.5,
     9007199254740991.0, 9007199254740993.0, 123456789012345678.0, 1.5e-7, 0.00012, 0.1, 0.3, 2/3] ++ Powers ++ Tens ++
    [D * 1.0 || D <- [7, 12, 123, 1234, 12345, 123456, 1234567, 1200, 12000, 120000, 1200000, 99999, 100000]] ++
    [any_float() || _ <- lists:seq(1, N)] ++
    [(rand:uniform(100000) - 1) * math:pow(10, rand:uniform(16) - 8) || _ <- lists:seq(1, N)] ++
    [(rand:uniform(1 bsl 53) + 0.0) * math:pow(2, rand:uniform(20) - 10) || _ <- lists:seq(1, N)].

any_float() ->
    case rand:bytes(8) of
        <<F/float>> -> F;
        _ -> any_float()
    end.

term(0) -> leaf(rand:uniform(12));
term(Depth) -> compound(Depth - 1, rand:uniform(9)).

compound(D, 1) -> list_to_tuple(many(D, 5));
compound(D, 2) -> many(D, 6);
compound(D, 3) -> many(D, 3) ++ leaf(rand:uniform(12));
compound(D, 4) -> maps:from_list([{term(D), term(D)} || _ <- lists:seq(1, rand:uniform(6))]);
compound(_, 5) -> string();
compound(_, _) -> leaf(rand:uniform(12)).

many(D, N) -> [term(D) || _ <- lists:seq(1, rand:uniform(N))].

leaf(1) -> rand:uniform(300) - 150;
leaf(2) -> (rand:uniform(1 bsl 62) - (1 bsl 61)) * rand:uniform(1 bsl 40);
leaf(3) -> any_float();
leaf(4) -> (rand:uniform(2000) - 1000) / 8;
leaf(5) -> list_to_atom(string());
leaf(6) -> list_to_atom([$a + rand:uniform(26) - 1 | word()]);
leaf(7) -> list_to_binary(string());
leaf(8) -> rand:bytes(rand:uniform(5));
leaf(9) -> Bits = rand:uniform(40), <<B:Bits/bitstring, _/bitstring>> = rand:bytes(5), B;
leaf(10) -> [C || C <- string(), C > 0];
leaf(11) -> fun lists:map/2;
leaf(12) -> list_to_atom([char(rand:uniform(4)) || _ <- lists:seq(1, rand:uniform(4))]).

word() -> [element(rand:uniform(6), {$a, $z, $A, $_, $@, $0}) || _ <- lists:seq(1, rand:uniform(6))].

string() -> [char(rand:uniform(40) div 10 + 1) || _ <- lists:seq(1, rand:uniform(8))].

char(1) -> $a + rand:uniform(26) - 1;
char(2) -> 31 + rand:uniform(95);
char(3) -> $A + rand:uniform(26) - 1;
char(4) -> rand:uniform(256) - 1;
char(5) -> $\n.
