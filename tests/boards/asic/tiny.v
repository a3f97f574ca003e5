// SPDX-License-Identifier: Apache-2.0
// The cells of tiny.lib, with delays of their own.
`timescale 1ns / 1ps
module INV (A, Y);
  input A;
  output Y;
  assign Y = ~A;
  specify
    (A => Y) = (0.05, 0.045);
  endspecify
endmodule

module BUF (A, Y);
  input A;
  output Y;
  assign Y = A;
  specify
    (A => Y) = (0.08, 0.072);
  endspecify
endmodule

module NAND2 (A, B, Y);
  input A, B;
  output Y;
  assign Y = ~(A & B);
  specify
    (A => Y) = (0.06, 0.054);
    (B => Y) = (0.06, 0.054);
  endspecify
endmodule

module NOR2 (A, B, Y);
  input A, B;
  output Y;
  assign Y = ~(A | B);
  specify
    (A => Y) = (0.07, 0.063);
    (B => Y) = (0.07, 0.063);
  endspecify
endmodule

module AND2 (A, B, Y);
  input A, B;
  output Y;
  assign Y = A & B;
  specify
    (A => Y) = (0.09, 0.081);
    (B => Y) = (0.09, 0.081);
  endspecify
endmodule

module OR2 (A, B, Y);
  input A, B;
  output Y;
  assign Y = A | B;
  specify
    (A => Y) = (0.1, 0.090);
    (B => Y) = (0.1, 0.090);
  endspecify
endmodule

module XOR2 (A, B, Y);
  input A, B;
  output Y;
  assign Y = A ^ B;
  specify
    (A => Y) = (0.12, 0.108);
    (B => Y) = (0.12, 0.108);
  endspecify
endmodule

module XNOR2 (A, B, Y);
  input A, B;
  output Y;
  assign Y = ~(A ^ B);
  specify
    (A => Y) = (0.12, 0.108);
    (B => Y) = (0.12, 0.108);
  endspecify
endmodule

module AOI21 (A, B, C, Y);
  input A, B, C;
  output Y;
  assign Y = ~((A & B) | C);
  specify
    (A => Y) = (0.08, 0.072);
    (B => Y) = (0.08, 0.072);
    (C => Y) = (0.08, 0.072);
  endspecify
endmodule

module OAI21 (A, B, C, Y);
  input A, B, C;
  output Y;
  assign Y = ~((A | B) & C);
  specify
    (A => Y) = (0.08, 0.072);
    (B => Y) = (0.08, 0.072);
    (C => Y) = (0.08, 0.072);
  endspecify
endmodule

module MUX2 (A, B, S, Y);
  input A, B, S;
  output Y;
  assign Y = (A & ~S) | (B & S);
  specify
    (A => Y) = (0.13, 0.117);
    (B => Y) = (0.13, 0.117);
    (S => Y) = (0.13, 0.117);
  endspecify
endmodule

module DFF (CLK, D, Q);
  input CLK, D;
  output Q;
  reg IQ;
  assign Q = IQ;
  always @(posedge CLK) IQ <= D;
  specify
    (CLK => Q) = (0.15, 0.16);
  endspecify
endmodule

module LATCH (G, D, Q);
  input G, D;
  output Q;
  reg IQ;
  assign Q = IQ;
  always @(G or D) if (G) IQ = D;
  specify
    (G => Q) = (0.15, 0.16);
    (D => Q) = (0.14, 0.15);
  endspecify
endmodule
