# SPDX-License-Identifier: Apache-2.0
# Elixir starts a Python program, monitors it, gives it work, and takes an array of it. `run.sh elixir` starts this; cluster.erl has a supervisor, too.
defmodule Adder do
  use GenServer
  def init(n), do: {:ok, n}
  def handle_call({:add, k}, _from, n), do: {:reply, n + k, n + k}
end

defmodule Cluster do
  def main do
    {:ok, _} = GenServer.start_link(Adder, 0, name: :adder)
    Process.register(self(), :py1)
    IO.puts("elixir: Elixir #{System.version()} starts a Python program")
    {port, os_pid} = start_python("py1", Atom.to_string(node()))
    worker = ready(port)
    Process.monitor(worker)

    send(worker, {:count, self(), 0, 100_000})
    IO.puts("elixir: #{found(worker)} primes below 100000, says Python")

    {bytes, total, how} = GenServer.call({:worker, node(worker)}, {:numbers, 1_000_000}, 10_000)
    sum = for <<x::float-little-64 <- bytes>>, reduce: 0.0, do: (sum -> sum + x)
    IO.puts("elixir: an array of #{how}'s has come as a binary of #{byte_size(bytes)} bytes; their sum is #{total} in Python, #{sum} in Elixir")
    ^total = sum

    System.cmd("kill", ["-9", "#{os_pid}"])
    IO.puts("elixir: kill -9 #{os_pid}: its process is gone (#{gone(worker)})")
  end

  defp start_python(name, me) do
    python = System.find_executable(System.get_env("PYTHON", "python3"))
    args = ["-m", "mote", "run", "--name", name, "--connect", me, "worker.py", name, me]
    port = Port.open({:spawn_executable, python}, [:nouse_stdio, :exit_status, args: args])
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    File.write!(System.get_env("PIDS"), "#{os_pid}\n", [:append])
    {port, os_pid}
  end

  defp ready(port) do
    receive do
      {:ready, pid, _} -> pid
      {^port, {:exit_status, code}} -> raise "the Python program has ended with code #{code}"
    end
  end

  defp found(worker) do
    receive do
      {:done, ^worker, 0, found} -> found
      {:DOWN, _, :process, ^worker, reason} -> raise "the Python process has ended: #{inspect(reason)}"
    end
  end

  defp gone(worker) do
    receive do
      {:DOWN, _, :process, ^worker, reason} -> reason
    end
  end
end

Cluster.main()
