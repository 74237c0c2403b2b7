%% SPDX-License-Identifier: Apache-2.0
%% Erlang supervises Python: a supervisor with a gen_server that Python calls, and for each Python program a keeper, which starts it and ends with it, so that the
%% supervisor starts both again. The boss gives out work, monitors who has it, and gives it to another when they die. run.sh starts all of it.
-module(cluster).
-behaviour(gen_server).
-export([main/0, start_adder/0, start_keeper/2, init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(BELOW, 600000).
-define(SHARE, 100000).

%% ------------------------------------------------------------------------------------------------ the tree

init(tree) ->
    Child = fun(Name, F, Args) -> #{id => Name, start => {?MODULE, F, Args}, restart => permanent} end,
    {ok, {#{strategy => one_for_one, intensity => 3, period => 10},
          [Child(adder, start_adder, []) | [Child(Name, start_keeper, [Name, whereis(boss)]) || Name <- [py1, py2]]]}};
init(adder) ->
    {ok, 0};
init({keeper, Name, Boss}) ->
    Python = os:find_executable(os:getenv("PYTHON", "python3")),
    Node = atom_to_list(node()),
    Args = ["-m", "mote", "run", "--name", atom_to_list(Name), "--connect", Node, "worker.py", atom_to_list(Name), Node],
    Port = open_port({spawn_executable, Python}, [{args, Args}, nouse_stdio, exit_status]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    ok = file:write_file(os:getenv("PIDS"), io_lib:format("~b~n", [OsPid]), [append]),
    {ok, {Name, Boss, Port}}.

%% ------------------------------------------------------------------------------- the adder, a server for Python

start_adder() -> gen_server:start_link({local, adder}, ?MODULE, adder, []).

handle_call({add, K}, _From, N) -> {reply, N + K, N + K}.

handle_cast(_, State) -> {noreply, State}.

%% ------------------------------------------------------------------------------ a keeper, for one Python program

start_keeper(Name, Boss) -> gen_server:start_link({local, Name}, ?MODULE, {keeper, Name, Boss}, []).

handle_info({ready, Pid, OsPid}, {Name, Boss, _} = State) ->
    monitor(process, Pid),
    Boss ! {worker, Name, Pid, OsPid},
    {noreply, State};
handle_info({'DOWN', _, process, _, Reason}, {Name, _, _} = State) ->
    say("tree: the Python process of ~p is gone (~p): the supervisor starts it again", [Name, Reason]),
    {stop, {shutdown, python_is_gone}, State};
handle_info({Port, {exit_status, Code}}, {Name, _, Port} = State) ->
    say("tree: the program of ~p has ended with code ~b: the supervisor starts it again", [Name, Code]),
    {stop, {shutdown, python_is_gone}, State}.

%% -------------------------------------------------------------------------------------------------- the boss

main() ->
    register(boss, self()),
    say("erl: Erlang/OTP ~s starts two Python programs, and has them count the primes below ~b", [erlang:system_info(otp_release), ?BELOW]),
    {ok, _} = supervisor:start_link({local, tree}, ?MODULE, tree),
    Shares = lists:seq(0, ?BELOW - 1, ?SHARE),
    Count = boss(#{todo => Shares, left => length(Shares), busy => #{}, idle => [], names => #{}, count => 0, shot => false}),
    say("boss: there are ~b primes below ~b", [Count, ?BELOW]),
    big_data(),
    say("erl: that is all; the Python programs end with this node", []),
    init:stop().

boss(#{left := 0, count := Count}) -> Count;
boss(State) -> boss(heard(give(State))).

give(#{todo := [Low | Todo], idle := [Pid | Idle], busy := Busy} = State) ->
    Pid ! {count, self(), Low, Low + ?SHARE},
    give(State#{todo := Todo, idle := Idle, busy := Busy#{Pid => Low}});
give(State) -> State.

heard(#{todo := Todo, left := Left, idle := Idle, busy := Busy, names := Names, count := Count, shot := Shot} = State) ->
    receive
        {worker, Name, Pid, OsPid} ->
            monitor(process, Pid),
            State#{idle := [Pid | Idle], names := Names#{Pid => {Name, OsPid}}};
        {begun, Pid, Low} when not Shot, Low >= 2 * ?SHARE -> % in the middle of its work
            {Name, OsPid} = maps:get(Pid, Names),
            say("boss: kill -9 ~b, which is ~p and has just begun with ~b", [OsPid, Name, Low]),
            os:cmd("kill -9 " ++ integer_to_list(OsPid)),
            State#{shot := true};
        {begun, _, _} ->
            State;
        {done, Pid, Low, Found} ->
            {Name, _} = maps:get(Pid, Names),
            say("boss: ~p has found ~b from ~b on", [Name, Found, Low]),
            State#{left := Left - 1, idle := [Pid | Idle], busy := maps:remove(Pid, Busy), count := Count + Found};
        {'DOWN', _, process, Pid, _} ->
            Again = [Low || {Who, Low} <- maps:to_list(Busy), Who =:= Pid],
            [say("boss: what it had, from ~b on, is for another now", [Low]) || Low <- Again],
            State#{todo := Again ++ Todo, idle := lists:delete(Pid, Idle), busy := maps:remove(Pid, Busy)}
    end.

%% Numbers of Python's: eight bytes each, in one binary.
big_data() ->
    {Bytes, Total, How} = gen_server:call({worker, 'py2@127.0.0.1'}, {numbers, 1000000}, 10000),
    Sum = sum(Bytes, 0.0),
    say("boss: an array of ~s's has come as a binary of ~b bytes; their sum is ~.1f in Python, ~.1f in Erlang", [How, byte_size(Bytes), Total, Sum]),
    Sum = Total.

sum(<<X:64/float-little, Rest/binary>>, Sum) -> sum(Rest, Sum + X);
sum(<<>>, Sum) -> Sum.

say(Format, Args) -> io:format(Format ++ "~n", Args).
