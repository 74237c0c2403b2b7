%% SPDX-License-Identifier: Apache-2.0
%% The smallest gen_server: what gencall calls.
-module(gen_srv).
-behaviour(gen_server).
-export([start/0, init/1, handle_call/3, handle_cast/2]).
start() -> gen_server:start_link(?MODULE, [], []).
init([]) -> {ok, 0}.
handle_call(X, _, S) -> {reply, X, S}.
handle_cast(_, S) -> {noreply, S}.
