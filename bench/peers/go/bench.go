// SPDX-License-Identifier: Apache-2.0

// What mote is measured against: goroutines and channels, one function per workload. GOMAXPROCS=n ./bench NAME ARGS...
// Names, arguments and lines printed are those of ../erlang/bench.erl, where Go has the like.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var t00 = time.Now()

func t() int64                             { return int64(time.Since(t00)) }
func out(name string, v float64, u string) { fmt.Printf("%s %.3f %s\n", name, v, u) }
func arg(k int) int                        { n, _ := strconv.Atoi(os.Args[k]); return n }
func rss() int64 {
	b, _ := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(b))
	n, _ := strconv.ParseInt(f[1], 10, 64)
	return n * 4096
}

func cpu() int64 {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return r.Utime.Nano() + r.Stime.Nano()
}

var workloads = map[string]func(){
	"pingpong":     runPingpong,
	"ring":         runRing,
	"spawn":        runSpawn,
	"spawn_flood":  runSpawnFlood,
	"skynet":       runSkynet,
	"memory":       runMemory,
	"fanin":        runFanin,
	"mailbox":      runMailbox,
	"big":          runBig,
	"gencall":      runCall,
	"timers":       runTimers,
	"timers_fire":  runTimersFire,
	"timers_procs": runTimersProcs,
	"late":         runLate,
	"bigbin":       runBigbin,
	"monitor":      runMonitor,
	"nqueens":      runNqueens,
	"chameneos":    runChameneos,
	"fair":         runFair,
	"lathog":       runLathog,
	"pairs":        runPairs,
}

func main() {
	if len(os.Args) < 2 || workloads[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench WORKLOAD [ARGS]")
		os.Exit(2)
	}
	workloads[os.Args[1]]()
}

func runPingpong() {
	name := "pingpong." + os.Args[2]
	n := arg(3)
	lock := os.Args[2] == "cross"
	a, b, d := make(chan int), make(chan int), make(chan int64)
	go func() {
		if lock {
			runtime.LockOSThread()
		}
		for v := range a {
			b <- v
		}
	}()
	go func() {
		if lock {
			runtime.LockOSThread()
		}
		for i := 0; i < 10000; i++ {
			a <- i
			<-b
		}
		t0 := t()
		for i := 0; i < n; i++ {
			a <- i
			<-b
		}
		d <- t() - t0
	}()
	out(name, float64(<-d)/float64(n), "ns")
}

func runRing() {
	p, h := arg(2), arg(3)
	done := make(chan int)
	first := make(chan int)
	ch := first
	for i := 0; i < p; i++ {
		nx := make(chan int)
		if i == p-1 {
			nx = first
		}
		go func(in, ou chan int) {
			for v := range in {
				if v == 0 {
					done <- 1
				} else {
					ou <- v - 1
				}
			}
		}(ch, nx)
		ch = nx
	}
	first <- p * 2
	<-done
	t0 := t()
	first <- h
	<-done
	out("ring."+os.Args[2], float64(t()-t0)/float64(h), "ns")
}

func runSpawn() {
	n := arg(2)
	d := make(chan int)
	seq := func(n int) {
		for i := 0; i < n; i++ {
			go func() { d <- 1 }()
			<-d
		}
	}
	seq(1000)
	t0 := t()
	seq(n)
	out("spawn.seq", float64(t()-t0)/float64(n), "ns")
	bd := make(chan int, 1000)
	t1 := t()
	for i := 0; i < n/1000; i++ {
		for k := 0; k < 1000; k++ {
			go func() { bd <- 1 }()
		}
		for k := 0; k < 1000; k++ {
			<-bd
		}
	}
	out("spawn.batch1000", float64(t()-t1)/float64(n/1000*1000), "ns")
}

func runSpawnFlood() {
	n := arg(2)
	d := make(chan int, n)
	t0 := t()
	for i := 0; i < n; i++ {
		go func() { d <- 1 }()
	}
	for i := 0; i < n; i++ {
		<-d
	}
	out("spawn.flood", float64(t()-t0)/float64(n), "ns")
}

func runSkynet() {
	n := arg(2)
	c := make(chan int)
	t0 := t()
	go sky(c, 0, n)
	s := <-c
	if s != n*(n-1)/2 {
		panic(s)
	}
	out("skynet", float64(t()-t0)/1e6, "ms")
}

func runMemory() {
	n := arg(2)
	r0 := rss()
	d := make(chan int, 1000)
	cs := make([]chan int, n)
	t0 := t()
	for i := range cs {
		c := make(chan int, 1)
		cs[i] = c
		go func() { <-c; d <- 1 }()
	}
	t1 := t()
	time.Sleep(300 * time.Millisecond)
	out("memory.idle", float64(rss()-r0)/float64(n), "bytes")
	out("memory.spawn", float64(t1-t0)/float64(n), "ns")
	t2 := t()
	go func() {
		for _, c := range cs {
			c <- 1
		}
	}()
	for range cs {
		<-d
	}
	out("memory.wake_exit", float64(t()-t2)/float64(n), "ns")
}

func runFanin() {
	s, m := arg(2), arg(3)
	per := m / s
	c := make(chan int, 1024)
	t0 := t()
	for i := 0; i < s; i++ {
		go func() {
			for k := 0; k < per; k++ {
				c <- k
			}
		}()
	}
	for k := 0; k < per*s; k++ {
		<-c
	}
	out("fanin."+os.Args[2]+".on_heap", float64(t()-t0)/float64(per*s), "ns")
}

func runMailbox() {
	m := arg(2)
	c := make(chan int, m)
	t0 := t()
	for i := 0; i < m; i++ {
		c <- i
	}
	t1 := t()
	for i := 0; i < m; i++ {
		<-c
	}
	out("mailbox.send", float64(t1-t0)/float64(m), "ns")
	out("mailbox.total", float64(t()-t0)/float64(m), "ns")
}

func runBig() {
	p, r := arg(2), arg(3)
	type bm struct{ from int }
	cs := make([]chan int, p) // >=0: ping from; -1: pong
	for i := range cs {
		cs[i] = make(chan int, 2*p) // room for all pings and pongs: cannot deadlock
	}
	var wg sync.WaitGroup
	d := make(chan int, p)
	wg.Add(p)
	t0 := t()
	for i := 0; i < p; i++ {
		go func(me int) {
			send := func() {
				for k := range cs {
					if k != me {
						cs[k] <- me
					}
				}
			}
			for q := 0; q < r; q++ {
				send()
				for k := p - 1; k > 0; {
					v := <-cs[me]
					if v >= 0 {
						cs[v] <- -1
					} else if v == -1 {
						k--
					}
				}
			}
			d <- 1
			for v := range cs[me] {
				if v == -2 {
					break
				}
				if v >= 0 {
					cs[v] <- -1
				}
			}
			wg.Done()
		}(i)
	}
	for i := 0; i < p; i++ {
		<-d
	}
	t1 := t()
	for i := range cs {
		cs[i] <- -2
	}
	wg.Wait()
	out("big."+os.Args[2], float64(t1-t0)/float64(p*(p-1)*r), "ns")
}

// runCall: request with a private reply channel: Go's idiom for call/reply
func runCall() {
	n := arg(2)
	type req struct {
		v   int
		rep chan int
	}
	c := make(chan req)
	go func() {
		for q := range c {
			q.rep <- q.v
		}
	}()
	t0 := t()
	for i := 0; i < n; i++ {
		r := make(chan int, 1)
		c <- req{i, r}
		if <-r != i {
			panic(i)
		}
	}
	out("gencall", float64(t()-t0)/float64(n), "ns")
}

func runTimers() {
	n := arg(2)
	a, b := make(chan int), make(chan int)
	go func() {
		for v := range a {
			b <- v
		}
	}()
	t0 := t()
	for i := 0; i < n; i++ {
		a <- i
		tm := time.NewTimer(60 * time.Second)
		select {
		case <-b:
			tm.Stop()
		case <-tm.C:
			panic("late")
		}
	}
	out("timer.recv_after_cancel", float64(t()-t0)/float64(n), "ns")
	tms := make([]*time.Timer, n)
	t1 := t()
	for i := range tms {
		tms[i] = time.AfterFunc(600*time.Second+time.Duration(i%5000)*time.Millisecond, func() {})
	}
	t2 := t()
	for _, x := range tms {
		x.Stop()
	}
	t3 := t()
	out("timer.set", float64(t2-t1)/float64(n), "ns")
	out("timer.cancel", float64(t3-t2)/float64(n), "ns")
}

func runTimersFire() {
	n := arg(2)
	var k int64
	d := make(chan int)
	c0, t0 := cpu(), t()
	for i := 0; i < n; i++ {
		time.AfterFunc(time.Duration(1+i%1000)*time.Millisecond, func() {
			if atomic.AddInt64(&k, 1) == int64(n) {
				d <- 1
			}
		})
	}
	<-d
	out("timer.fire_cpu", float64(cpu()-c0)/float64(n), "ns")
	out("timer.fire_wall", float64(t()-t0)/1e6, "ms")
}

func runTimersProcs() {
	n := arg(2)
	d := make(chan int, 1000)
	c0, t0 := cpu(), t()
	for i := 0; i < n; i++ {
		go func(i int) {
			never := make(chan int)
			select {
			case <-never:
			case <-time.After(time.Duration(1+i%1000) * time.Millisecond):
			}
			d <- 1
		}(i)
	}
	for i := 0; i < n; i++ {
		<-d
	}
	out("timer.procs_cpu", float64(cpu()-c0)/float64(n), "ns")
	out("timer.procs_wall", float64(t()-t0)/1e6, "ms")
}

func runLate() {
	n := arg(2)
	l := make([]float64, n)
	for i := range l {
		a := t()
		time.Sleep(time.Millisecond)
		l[i] = float64(t()-a) / 1000
	}
	sort.Float64s(l)
	out("timer.sleep1ms_p50", l[n/2], "us")
	out("timer.sleep1ms_p99", l[n*99/100], "us")
}

func runBigbin() {
	mb, p := arg(2), arg(3)
	b := make([]byte, mb<<20)
	for i := range b {
		b[i] = 7
	}
	d := make(chan int, p)
	cs := make([]chan []byte, p)
	for i := range cs {
		cs[i] = make(chan []byte, 1)
		go func(c chan []byte) {
			for x := range c {
				d <- len(x)
			}
		}(cs[i])
	}
	t0 := t()
	for r := 0; r < 100; r++ {
		for _, c := range cs {
			c <- b
		}
		for range cs {
			<-d
		}
	}
	out("bigbin."+os.Args[2]+"MiB.send", float64(t()-t0)/float64(100*p), "ns")
}

// runMonitor: nearest idiom: goroutine with deferred close of a done channel
func runMonitor() {
	n := arg(2)
	t0 := t()
	for i := 0; i < n; i++ {
		d := make(chan struct{})
		go func() { defer close(d) }()
		<-d
	}
	out("monitor.spawn_exit_down", float64(t()-t0)/float64(n), "ns")
}

func runNqueens() {
	n, dep := arg(2), arg(3)
	c := make(chan int)
	t0 := t()
	go nq(c, n, dep, 0, 0, 0, 0)
	r := <-c
	want := []int{1, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712, 365596}
	if r != want[n] {
		panic(r)
	}
	out("nqueens."+os.Args[2]+".d"+os.Args[3], float64(t()-t0)/1e6, "ms")
}

func runChameneos() {
	m := arg(2)
	type req struct {
		c   int
		rep chan int
	}
	mall := make(chan req, 8)
	go func() {
		for i := 0; i < m; i++ {
			a := <-mall
			b := <-mall
			a.rep <- b.c
			b.rep <- a.c
		}
		for a := range mall {
			a.rep <- -1
		}
	}()
	d := make(chan int)
	t0 := t()
	for _, c := range []int{0, 1, 2, 0, 1, 2, 0, 1} {
		go func(c int) {
			r := make(chan int, 1)
			k := 0
			for {
				mall <- req{c, r}
				o := <-r
				if o < 0 {
					d <- k
					return
				}
				if o != c {
					c = 3 - c - o
				}
				k++
			}
		}(c)
	}
	tot := 0
	for i := 0; i < 8; i++ {
		tot += <-d
	}
	if tot != 2*m {
		panic(tot)
	}
	out("chameneos", float64(t()-t0)/float64(m), "ns")
}

func runFair() {
	h, n := arg(2), arg(3)
	for i := 0; i < h; i++ {
		go func() {
			x := 0
			for {
				x = (x*1103515245 + 12345) & 0x7fffffff
			}
		}()
	}
	a, b, d := make(chan int), make(chan int), make(chan []float64)
	go func() {
		for v := range a {
			b <- v
		}
	}()
	go func() {
		l := make([]float64, n)
		for i := range l {
			s := t()
			a <- i
			<-b
			l[i] = float64(t()-s) / 1000
			time.Sleep(time.Millisecond)
		}
		d <- l
	}()
	l := <-d
	sort.Float64s(l)
	out("fair.h"+os.Args[2]+".p50", l[n/2], "us")
	out("fair.h"+os.Args[2]+".p99", l[n*99/100], "us")
}

func runLathog() {
	h, n := arg(2), arg(3)
	for i := 0; i < h; i++ {
		go func() {
			x := 0
			for {
				x = (x*1103515245 + 12345) & 0x7fffffff
			}
		}()
	}
	l := make([]float64, n)
	for i := range l {
		a := t()
		time.Sleep(time.Millisecond)
		l[i] = float64(t()-a) / 1000
	}
	sort.Float64s(l)
	out("timer.sleep1ms_h"+os.Args[2]+"_p50", l[n/2], "us")
	out("timer.sleep1ms_h"+os.Args[2]+"_p99", l[n*99/100], "us")
}

func runPairs() {
	p, n := arg(2), arg(3)
	d, st := make(chan int), make(chan int)
	for i := 0; i < p; i++ {
		go func() {
			a, b := make(chan int), make(chan int)
			go func() {
				for v := range a {
					b <- v
				}
			}()
			<-st
			for k := 0; k < n; k++ {
				a <- k
				<-b
			}
			d <- 1
		}()
	}
	t0 := t()
	close(st)
	for i := 0; i < p; i++ {
		<-d
	}
	out("pairs."+os.Args[2], float64(t()-t0)/float64(p*n), "ns")
}

func sky(c chan int, num, size int) {
	if size == 1 {
		c <- num
		return
	}
	rc := make(chan int)
	for k := 0; k < 10; k++ {
		go sky(rc, num+k*(size/10), size/10)
	}
	s := 0
	for k := 0; k < 10; k++ {
		s += <-rc
	}
	c <- s
}

func nq(par chan int, n, d, row, c, l, r int) {
	if row == d {
		par <- nqs((1<<n)-1, n-row, c, l, r)
		return
	}
	free := ((1 << n) - 1) &^ (c | l | r)
	rc := make(chan int)
	k := 0
	for free != 0 {
		b := free & -free
		free ^= b
		go nq(rc, n, d, row+1, c|b, (l|b)<<1, (r|b)>>1)
		k++
	}
	s := 0
	for ; k > 0; k-- {
		s += <-rc
	}
	par <- s
}

func nqs(all, left, c, l, r int) int {
	if left == 0 {
		return 1
	}
	s := 0
	for free := all &^ (c | l | r); free != 0; {
		b := free & -free
		free ^= b
		s += nqs(all, left-1, c|b, ((l|b)<<1)&all, (r|b)>>1)
	}
	return s
}
