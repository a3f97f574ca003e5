// SPDX-License-Identifier: Apache-2.0
// Carries out orders on a design in Verilator: resets, reads and writes of its bus, and words in and
// out of its streams, compared. Ends at the first difference.
//
//   deltaloom ORDERS [+PLUSARG...]
//
// ORDERS holds 64-bit numbers, little endian:
//
//   0                            end
//   1 CYCLES                     reset
//   2 COUNT (ADDRESS VALUE)*     write, each answered with OKAY
//   3 COUNT (ADDRESS VALUE)*     read; the value must be this one
//   4                            wait until STATUS is not busy
//   5 IDLE STALL SEED READS IN OUT WORD*  run: IDLE and STALL of 65536 cycles rest, READS of 65536
//                                begin a read of STATUS; IN words {tuser, tlast, tdata} are sent
//                                (tlast is bit 32), OUT words {tlast, tdata} compared
//   6 IDLE SEED IN WORD*         send IN words and leave it at that
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>
#include "Vtop.h"
#include "verilated.h"

static const int PATIENCE = 400000;  // cycles without any progress
static Vtop *top;
static std::vector<uint64_t> orders;
static size_t at = 0;
static uint64_t cycles = 0, words = 0;

static uint64_t next() {
  if (at == orders.size()) { std::printf("END orders are cut\n"); std::exit(3); }
  return orders[at++];
}

[[noreturn]] static void differ(const char *what, uint64_t where, uint64_t got, uint64_t wanted) {
  std::printf("DIFFERS %s %llu: got %#llx, expected %#llx; words %llu, order %zu, cycle %llu\n",
              what, (unsigned long long)where, (unsigned long long)got,
              (unsigned long long)wanted, (unsigned long long)words, at,
              (unsigned long long)cycles);
  std::exit(1);
}

// The inputs are set: the outputs that follow from them, before the edge. Every edge comes after
// one, so the falling edge, at which nothing happens, needs no evaluation of its own.
static void settle() {
  top->clk = 0;
  top->eval();
}

static void edge() {
  top->clk = 1;
  top->eval();
  cycles++;
}

static void reset(uint64_t count) {
  top->rst = 1;
  for (uint64_t n = 0; n < count; n++) {
    settle();
    if (top->m_axis_tvalid || top->s_axil_bvalid || top->s_axil_rvalid)
      differ("valid in reset", n, 1, 0);
    edge();
  }
  top->rst = 0;
}

static void put(uint32_t address, uint32_t value) {
  bool address_left = true, value_left = true;
  top->s_axil_awaddr = address;
  top->s_axil_wdata = value;
  top->s_axil_wstrb = 15;
  top->s_axil_bready = 1;
  for (int waited = 0; waited < PATIENCE; waited++) {
    top->s_axil_awvalid = address_left;
    top->s_axil_wvalid = value_left;
    settle();
    bool answered = top->s_axil_bvalid;
    if (answered && top->s_axil_bresp) differ("write", address, top->s_axil_bresp, 0);
    if (top->s_axil_awready) address_left = false;
    if (top->s_axil_wready) value_left = false;
    edge();
    if (answered) { top->s_axil_bready = 0; return; }
  }
  differ("no answer to a write", address, 0, 1);
}

static uint32_t get(uint32_t address) {
  bool left = true;
  top->s_axil_araddr = address;
  top->s_axil_rready = 1;
  for (int waited = 0; waited < PATIENCE; waited++) {
    top->s_axil_arvalid = left;
    settle();
    bool answered = top->s_axil_rvalid;
    uint32_t value = top->s_axil_rdata;
    if (answered && top->s_axil_rresp) differ("read", address, top->s_axil_rresp, 0);
    if (top->s_axil_arready) left = false;
    edge();
    if (answered) { top->s_axil_rready = 0; return value; }
  }
  differ("no answer to a read", address, 0, 1);
}

// Streams: a word stays offered until it is taken; chances are of 65536.
static void stream(uint64_t idle, uint64_t stall, uint64_t seed, uint64_t reads, uint64_t count,
                   uint64_t wanted) {
  std::mt19937 random((uint32_t)seed);
  const uint64_t *in = &orders[at], *out = in + count;
  at += count + wanted;
  if (at > orders.size()) { std::printf("END orders are cut\n"); std::exit(3); }
  const bool compares = wanted > 0;
  uint64_t sent = 0, got = 0;
  bool offered = false, asking = false, asked = false;
  uint64_t held = 0;
  bool holds = false;
  top->s_axil_araddr = 0x0C;
  for (int waited = 0; sent < count || got < wanted; waited++) {
    if (waited == PATIENCE) differ("stuck at word", got, sent, count);
    if (!offered && sent < count) offered = (random() & 65535) >= idle;
    top->s_axis_tvalid = offered;
    if (offered) {
      top->s_axis_tdata = (uint32_t)in[sent];
      top->s_axis_tlast = in[sent] >> 32 & 1;
      top->s_axis_tuser = in[sent] >> 33;
    }
    top->m_axis_tready = (random() & 65535) >= stall;
    if (!asking && reads && (random() & 65535) < reads) asking = true, asked = false;
    top->s_axil_arvalid = asking && !asked;
    top->s_axil_rready = asking;
    settle();
    const bool valid = top->m_axis_tvalid;
    const uint64_t word = (uint64_t)top->m_axis_tlast << 32 | top->m_axis_tdata;
    if (holds && (!valid || word != held)) differ("changed while held, word", got, word, held);
    holds = valid && !top->m_axis_tready;
    held = word;
    if (valid && top->m_axis_tready) {
      if (compares) {
        if (got == wanted) differ("surplus word", got, word, 0);
        if (word != out[got]) differ("word", got, word, out[got]);
        words++;
      }
      got++;
      waited = 0;
    }
    const bool taken = offered && top->s_axis_tready;
    if (asking && top->s_axil_rvalid) asking = false;
    if (asking && top->s_axil_arready) asked = true;
    edge();
    if (taken) { offered = false; sent++; waited = 0; }
  }
  top->s_axis_tvalid = 0;
  for (int waited = 0; asking; waited++) {
    if (waited == PATIENCE) differ("no answer to a read", 0x0C, 0, 1);
    top->s_axil_arvalid = !asked;
    settle();
    if (top->s_axil_rvalid) asking = false;
    if (top->s_axil_arready) asked = true;
    edge();
  }
  top->s_axil_arvalid = top->s_axil_rready = 0;
  top->m_axis_tready = 0;
  if (!compares) return;
  settle();
  if (top->m_axis_tvalid) differ("surplus word", got, top->m_axis_tdata, 0);
}

int main(int argc, char **argv) {
  std::FILE *file = argc > 1 ? std::fopen(argv[1], "rb") : nullptr;
  if (!file) { std::perror("orders"); return 3; }
  Verilated::commandArgs(argc, argv);
  std::fseek(file, 0, SEEK_END);
  orders.resize(std::ftell(file) / 8);
  std::rewind(file);
  if (std::fread(orders.data(), 8, orders.size(), file) != orders.size()) return 3;
  top = new Vtop;
  top->clk = 0;
  top->rst = 0;
  top->eval();
  while (uint64_t order = next()) {
    if (order == 1) reset(next());
    else if (order == 2) {
      for (uint64_t count = next(); count; count--) { uint64_t a = next(); put(a, next()); }
    } else if (order == 3) {
      for (uint64_t count = next(); count; count--) {
        uint64_t a = next(), wanted = next(), got = get(a);
        if (got != wanted) differ("register", a, got, wanted);
      }
    } else if (order == 4) {
      for (int waited = 0; get(0x0C) & 1; waited++)
        if (waited == PATIENCE) differ("busy for ever", 0x0C, 1, 0);
    } else if (order == 5) {
      uint64_t idle = next(), stall = next(), seed = next(), reads = next(), in = next();
      stream(idle, stall, seed, reads, in, next());
    } else if (order == 6) {
      uint64_t idle = next(), seed = next();
      stream(idle, 0, seed, 0, next(), 0);
    } else { std::printf("END order %llu\n", (unsigned long long)order); return 3; }
  }
  std::printf("EQUAL words %llu, cycles %llu\n", (unsigned long long)words,
              (unsigned long long)cycles);
  return 0;
}
