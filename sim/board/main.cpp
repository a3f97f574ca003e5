// SPDX-License-Identifier: Apache-2.0
// The simulated board: clocks the top level, and is the other end of its serial line, bit by bit,
// behind a pseudo-terminal. Prints the terminal's name, and figures when it ends.
//
//   simulate CLOCKS_PER_BIT NOISE SEED
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <poll.h>
#include <random>
#include <termios.h>
#include <unistd.h>
#include "Vtop.h"
#include "verilated.h"

static volatile sig_atomic_t stop = 0;
static void on_signal(int) { stop = 1; }

// Bytes one way, some of them damaged: lost, doubled, swapped with the next, or with a wrong bit.
struct Line {
  double noise;
  std::mt19937_64 &random;
  std::deque<uint8_t> bytes;
  uint64_t carried = 0, damaged = 0;
  int held = -1;

  void put(uint8_t byte) {
    carried++;
    int swapped = held;
    held = -1;
    if (noise > 0 && std::uniform_real_distribution<>()(random) < noise) {
      damaged++;
      switch (random() % 4) {
        case 0: break;
        case 1: bytes.push_back(byte); bytes.push_back(byte); break;
        case 2: held = byte; break;
        default: bytes.push_back(byte ^ (1 << random() % 8));
      }
    } else bytes.push_back(byte);
    if (swapped >= 0) bytes.push_back(uint8_t(swapped));
  }
};

int main(int argc, char **argv) {
  Verilated::commandArgs(argc, argv);
  const int clocks = std::atoi(argv[1]);
  std::mt19937_64 random(std::strtoull(argv[3], nullptr, 10));
  Line to_board{std::atof(argv[2]), random}, from_board{std::atof(argv[2]), random};

  int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (terminal < 0 || grantpt(terminal) || unlockpt(terminal)) { std::perror("pty"); return 1; }
  const char *name = ptsname(terminal);
  int other = open(name, O_RDWR | O_NOCTTY);  // kept open, so that hosts may come and go
  termios settings;
  if (other < 0 || tcgetattr(other, &settings)) { std::perror(name); return 1; }
  cfmakeraw(&settings);
  tcsetattr(other, TCSANOW, &settings);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  std::printf("%s\n", name);
  std::fflush(stdout);

  const pid_t parent = getppid();
  Vtop *top = new Vtop;
  top->clk = 0;
  top->rx = 1;
  uint64_t cycle = 0;
  // The bits on their way: of the byte to the board, of the byte from it.
  uint32_t sending = 0, receiving = 0;
  int send_bits = 0, send_left = 0, receive_bits = 0, receive_left = 0;
  uint64_t quiet = 0;
  while (!stop) {
    if (!send_left && !send_bits && !to_board.bytes.empty()) {
      sending = 0x200u | uint32_t(to_board.bytes.front()) << 1;
      to_board.bytes.pop_front();
      send_bits = 10;
    }
    if (!send_left && send_bits) {
      top->rx = sending & 1;
      sending >>= 1;
      send_bits--;
      send_left = clocks;
    }
    if (send_left) send_left--;
    top->clk = 0; top->eval();
    top->clk = 1; top->eval();
    cycle++;
    if (receive_bits) {
      if (--receive_left == 0) {
        receiving = receiving >> 1 | uint32_t(top->tx) << 9;
        receive_left = clocks;
        if (--receive_bits == 0) {
          if (top->tx) from_board.put(receiving >> 1 & 0xff);
          else { std::fprintf(stderr, "a byte without a stop bit\n"); return 1; }
        }
      }
    } else if (!top->tx) {
      receiving = 0;
      receive_bits = 10;
      receive_left = clocks / 2 + 1;
    }
    // The world outside, now and then.
    bool rests = !send_bits && !receive_bits && to_board.bytes.empty() && !top->busy;
    quiet = rests ? quiet + 1 : 0;
    if (cycle % 64) continue;
    while (!from_board.bytes.empty()) {
      uint8_t byte = from_board.bytes.front();
      if (write(terminal, &byte, 1) != 1) break;  // nobody reads: as a line does, later or never
      from_board.bytes.pop_front();
    }
    if (from_board.bytes.size() > 1 << 20) from_board.bytes.clear();
    // Nothing moves: time stands still until somebody writes.
    if (quiet > 20000) {
      pollfd wait = {terminal, POLLIN, 0};
      poll(&wait, 1, 100);
      if (getppid() != parent) break;
    }
    if (to_board.bytes.size() < 64) {
      uint8_t some[256];
      ssize_t count = read(terminal, some, sizeof some);
      for (ssize_t n = 0; n < count; n++) to_board.put(some[n]);
      if (count > 0) quiet = 0;
    }
  }
  std::printf("{\"cycles\": %llu, \"to_board\": %llu, \"from_board\": %llu, \"damaged\": %llu}\n",
              (unsigned long long)cycle, (unsigned long long)to_board.carried,
              (unsigned long long)from_board.carried,
              (unsigned long long)(to_board.damaged + from_board.damaged));
  return 0;
}
