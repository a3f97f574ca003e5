// SPDX-License-Identifier: Apache-2.0
// A single-data-rate SDRAM for simulators, which ends the simulation where its rules are broken.
//
// Times are in ps, and so is the clock's period: they are checked against cycles, whatever the
// simulator's own time is. What it holds is one array over {row, bank, column}, of which WORDS_LOG2
// bits are there; a file of `+sdram=FILE` ($readmemh) fills it.

// The chip with a flip-flop in each pin's cell, as a design's pins see it.
module sdram_pads #(
    parameter DQ = 16, ROW = 13, COLUMN = 9, BANK = 2, WORDS_LOG2 = 16,
    parameter PERIOD = 10000, CL = 2, BURST = 2, POWER_UP = 200000000,
    parameter RCD = 20000, RP = 20000, RAS = 45000, RC = 67500, RRD = 15000, RFC = 70000,
    parameter WR = 20000, REFI = 7812500
) (
    input clk,
    input cke, cs_n, ras_n, cas_n, we_n,
    input [BANK-1:0] ba,
    input [ROW-1:0] a,
    input [DQ/8-1:0] dqm,
    input [DQ-1:0] dq_o,
    input dq_oe,
    output reg [DQ-1:0] dq_i,
    output [31:0] errors
);
  reg p_cke = 0, p_cs_n = 1, p_ras_n = 1, p_cas_n = 1, p_we_n = 1, p_oe = 0;
  reg [BANK-1:0] p_ba = 0;
  reg [ROW-1:0] p_a = 0;
  reg [DQ/8-1:0] p_dqm = 0;
  reg [DQ-1:0] p_dq = 0;
  wire [DQ-1:0] q;
  always @(posedge clk) begin
    p_cke <= cke;
    p_cs_n <= cs_n;
    p_ras_n <= ras_n;
    p_cas_n <= cas_n;
    p_we_n <= we_n;
    p_ba <= ba;
    p_a <= a;
    p_dqm <= dqm;
    p_dq <= dq_o;
    p_oe <= dq_oe;
    dq_i <= q;
  end
  sdram #(
      .DQ(DQ), .ROW(ROW), .COLUMN(COLUMN), .BANK(BANK), .WORDS_LOG2(WORDS_LOG2), .PERIOD(PERIOD),
      .CL(CL), .BURST(BURST), .POWER_UP(POWER_UP), .RCD(RCD), .RP(RP), .RAS(RAS), .RC(RC),
      .RRD(RRD), .RFC(RFC), .WR(WR), .REFI(REFI)
  ) chip (
      .clk(clk), .cke(p_cke), .cs_n(p_cs_n), .ras_n(p_ras_n), .cas_n(p_cas_n), .we_n(p_we_n),
      .ba(p_ba), .a(p_a), .dqm(p_dqm), .d(p_dq), .driven(p_oe), .q(q), .errors(errors)
  );
endmodule

// The chip. Its data lines are two here: d with `driven` in, q out.
module sdram #(
    parameter DQ = 16, ROW = 13, COLUMN = 9, BANK = 2, WORDS_LOG2 = 16,
    parameter PERIOD = 10000, CL = 2, BURST = 2, POWER_UP = 200000000,
    parameter RCD = 20000, RP = 20000, RAS = 45000, RC = 67500, RRD = 15000, RFC = 70000,
    parameter WR = 20000, REFI = 7812500
) (
    input clk,
    input cke, cs_n, ras_n, cas_n, we_n,
    input [BANK-1:0] ba,
    input [ROW-1:0] a,
    input [DQ/8-1:0] dqm,
    input [DQ-1:0] d,
    input driven,
    output reg [DQ-1:0] q,
    output reg [31:0] errors
);
  localparam BANKS = 1 << BANK;
  localparam NEVER = -1000000;
  localparam MODE_CYCLES = 2;
  localparam INIT_REFRESHES = 8;
  localparam POSTPONED = 8;  // refreshes that may be late
  localparam [2:0] MODE = 0, REFRESH = 1, PRECHARGE = 2, ACTIVATE = 3, WRITE = 4, READ = 5, STOP = 6;

  reg [DQ-1:0] words [0:(1<<WORDS_LOG2)-1];
  reg [8*1024-1:0] file;
  integer n;

  // When things happened last, in cycles.
  integer cycle = 0;
  integer activated [0:BANKS-1];
  integer precharged [0:BANKS-1];
  integer wrote [0:BANKS-1];  // the last beat
  integer activated_any = NEVER, refreshed = NEVER, mode_set = NEVER, column_at = NEVER;
  integer refreshes = 0;  // before the mode is set, then since then
  integer set_at = 0;
  reg precharged_all = 0;
  reg has_mode = 0;
  reg [BANKS-1:0] open = 0;
  reg [ROW-1:0] row [0:BANKS-1];

  // The burst that runs, and what is on its way to q.
  integer left = 0;
  reg writes = 0;
  reg [COLUMN-1:0] column = 0;
  reg [BANK-1:0] bank = 0;
  reg [DQ-1:0] coming [0:3];
  reg [5:0] comes = 0;
  reg [DQ/8-1:0] masks [0:1];
  wire [2:0] command = {ras_n, cas_n, we_n};

  initial begin
    errors = 0;
    for (n = 0; n < BANKS; n = n + 1) begin
      activated[n] = NEVER;
      precharged[n] = NEVER;
      wrote[n] = NEVER;
    end
    masks[0] = 0;
    masks[1] = 0;
    if ($value$plusargs("sdram=%s", file)) $readmemh(file, words);
  end

  task violation(input [8*40-1:0] rule);
    begin
      errors = errors + 1;
      $display("sdram: cycle %0d: %0s", cycle, rule);
    end
  endtask

  // PERIOD * (cycle - since) must be at least `least` ps.
  task check(input integer since, input integer least, input [8*40-1:0] rule);
    if (since > NEVER && 1.0 * PERIOD * (cycle - since) < least) violation(rule);
  endtask

  task precharge(input integer which);
    begin
      if (open[which]) begin
        check(activated[which], RAS, "tRAS: row closed too soon");
        check(wrote[which], WR, "tWR: row closed too soon after a write");
        if (left > 0 && bank == which && column_at != cycle) violation("burst cut by a precharge");
        precharged[which] = cycle;
      end
      open[which] = 0;
    end
  endtask

  function [WORDS_LOG2-1:0] place(input [ROW-1:0] r, input [BANK-1:0] b, input [COLUMN-1:0] c);
    place = {r, b, c};
  endfunction

  task access(input is_write);
    begin
      if (!open[ba]) violation("access to a closed row");
      check(activated[ba], RCD, "tRCD: access too soon after opening");
      if (left > 0) violation("burst cut by another");
      if (a[10]) violation("auto precharge is not modelled");
      if (({row[ba], ba, a[COLUMN-1:0]} >> WORDS_LOG2) != 0) violation("address is not modelled");
      left = BURST;
      writes = is_write;
      bank = ba;
      column = a[COLUMN-1:0];
      column_at = cycle;
    end
  endtask

  always @(posedge clk) begin
    cycle = cycle + 1;
    if (cke && !cs_n && command != 3'b111) begin
      if (1.0 * PERIOD * cycle < POWER_UP) violation("command before the power-up time");
      check(refreshed, RFC, "tRFC: command too soon after a refresh");
      if (mode_set > NEVER && cycle - mode_set < MODE_CYCLES) violation("tMRD: command too soon");
      case (command)
        ACTIVATE: begin
          if (!has_mode) violation("row opened before the mode is set");
          if (open[ba]) violation("row opened in a bank with an open row");
          check(precharged[ba], RP, "tRP: row opened too soon");
          check(activated[ba], RC, "tRC: row opened too soon");
          check(activated_any, RRD, "tRRD: row opened too soon");
          open[ba] = 1;
          row[ba] = a;
          activated[ba] = cycle;
          activated_any = cycle;
        end
        READ: access(0);
        WRITE: access(1);
        PRECHARGE: begin
          for (n = 0; n < BANKS; n = n + 1)
            if (a[10] || ba == n) precharge(n);
          if (a[10]) precharged_all = 1;
        end
        REFRESH: begin
          if (open != 0) violation("refresh with an open row");
          if (!precharged_all) violation("refresh before a precharge of all banks");
          for (n = 0; n < BANKS; n = n + 1)
            check(precharged[n], RP, "tRP: refresh too soon");
          refreshed = cycle;
          refreshes = refreshes + 1;
        end
        MODE: begin
          if (open != 0) violation("mode set with an open row");
          if (!has_mode && refreshes < INIT_REFRESHES) violation("mode set before the refreshes");
          if (a[2:0] != $clog2(BURST) || a[3] || a[6:4] != CL || a[ROW-1:7] != 0)
            violation("mode is another");
          if (!has_mode) begin
            set_at = cycle;
            refreshes = 0;
          end
          has_mode = 1;
          mode_set = cycle;
        end
        default: violation("command is not modelled");
      endcase
    end
    if (has_mode && 1.0 * PERIOD * (cycle - set_at) > 1.0 * REFI * (refreshes + POSTPONED)) begin
      violation("tREFI: refreshes are too rare");
      refreshes = refreshes + POSTPONED;
    end

    // A beat of the burst, whose columns wrap within its length. What is read comes CL cycles later.
    comes = comes << 1;
    for (n = 3; n > 0; n = n - 1) coming[n] = coming[n-1];
    if (left > 0) begin
      if (writes) begin
        if (!driven && !(&dqm)) violation("nothing drives what is written");
        for (n = 0; n < DQ / 8; n = n + 1)
          if (!dqm[n]) words[place(row[bank], bank, column)][8*n+:8] = d[8*n+:8];
        wrote[bank] = cycle;
      end else begin
        comes[0] = 1;
        coming[0] = words[place(row[bank], bank, column)];
      end
      column = (column & ~(BURST - 1)) | ((column + 1) & (BURST - 1));
      left = left - 1;
    end
    if (driven && comes[CL]) violation("both sides drive the data lines");
    if (driven && comes[CL+1]) violation("no cycle between two drivers");
    q <= comes[CL-1] && masks[0] == 0 ? coming[CL-1] : {DQ{1'bx}};
    masks[1] = masks[0];
    masks[0] = dqm;

    if (errors != 0) begin
      $display("sdram: %0d violations", errors);
      $fatal(1);
    end
  end
endmodule
