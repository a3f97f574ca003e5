// SPDX-License-Identifier: Apache-2.0
// Multiplexers of four and eight as a slice has them (ECP5): two LUTs that select by S meet in the
// slice's own multiplexer, two of those in the next one. Yosys has these for wide LUTs only.

module \$_MUX4_ (input A, B, C, D, S, T, output Y);
    wire low, high;
    LUT4 #(.INIT(16'hCACA)) lut_low (.A(A), .B(B), .C(S), .D(1'b0), .Z(low));
    LUT4 #(.INIT(16'hCACA)) lut_high (.A(C), .B(D), .C(S), .D(1'b0), .Z(high));
    PFUMX select (.BLUT(low), .ALUT(high), .C0(T), .Z(Y));
endmodule

module \$_MUX8_ (input A, B, C, D, E, F, G, H, S, T, U, output Y);
    wire low, high;
    \$_MUX4_ select_low (.A(A), .B(B), .C(C), .D(D), .S(S), .T(T), .Y(low));
    \$_MUX4_ select_high (.A(E), .B(F), .C(G), .D(H), .S(S), .T(T), .Y(high));
    L6MUX21 select (.D0(low), .D1(high), .SD(U), .Z(Y));
endmodule
