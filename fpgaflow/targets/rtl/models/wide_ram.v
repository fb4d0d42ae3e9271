// Block RAM of ports of 1, 2, 4, 9, 18 or 36 bits over 18 kbit, as ECP5 (Lattice FPGA-TN-02204) and Gowin (UG285) have it:
// an address of bits, in whose lowest bits ports of 18 and 36 bits have the enables of their bytes of 9 bits.
//
// MODE: what a port reads while it writes: 0 keeps its output, 1 the new word, 2 the old one. Without SAFE, a reset
// does not stop a write.
module fpgaflow_port #(parameter WIDTH = 0, MODE = 0, SAFE = 0) (
  input clk, enable, write, reset, input [13:0] at, input [35:0] in, now, output [8:0] word, output [35:0] bits, put, out
);
  localparam W = WIDTH == 0 ? 1 : WIDTH;
  wire [3:0] bytes = W == 36 ? at[3:0] : W == 18 ? (at[4] ? {at[1:0], 2'b00} : {2'b00, at[1:0]}) : 4'b1 << at[4:3];
  wire [8:0] part = W >= 9 ? 9'h1ff : W == 4 ? 9'h0f << (4 * at[2]) : W == 2 ? 9'h003 << (2 * at[2:1]) : 9'h001 << at[2:0];
  assign word = at[13:5];
  assign put = W == 36 ? in : W == 18 ? {2{in[17:0]}} : W == 9 ? {4{in[8:0]}} : W == 4 ? {4{1'b0, {2{in[3:0]}}}}
    : W == 2 ? {4{1'b0, {4{in[1:0]}}}} : {4{1'b0, {8{in[0]}}}};
  wire [35:0] places = {{9{bytes[3]}}, {9{bytes[2]}}, {9{bytes[1]}}, {9{bytes[0]}}} & {4{part}};
  assign bits = places & {36{WIDTH != 0 && enable && write && !(SAFE && reset)}};
  wire [35:0] seen = MODE == 1 ? (now & ~bits) | (put & bits) : now;
  wire [17:0] half = at[4] ? seen[35:18] : seen[17:0];
  wire [8:0] byte = at[3] ? half[17:9] : half[8:0];
  wire [35:0] next = W == 36 ? seen : W == 18 ? half : W == 9 ? byte : W == 4 ? byte[4*at[2] +: 4]
    : W == 2 ? byte[2*at[2:1] +: 2] : byte[at[2:0]];
  reg [35:0] q = 0;
  always @(posedge clk) if (reset) q <= 0; else if (enable && !(MODE == 0 && write)) q <= next;
  assign out = q;
endmodule

module fpgaflow_block #(parameter WIDTH_A = 0, WIDTH_B = 0, MODE_A = 0, MODE_B = 0, SAFE = 0, INIT = 0) (
  input clk_a, enable_a, write_a, reset_a, clk_b, enable_b, write_b, reset_b, input [13:0] at_a, at_b,
  input [35:0] in_a, in_b, output [35:0] out_a, out_b
);
  wire [8:0] word_a, word_b;
  wire [35:0] bits_a, bits_b, put_a, put_b, now_a, now_b;
  fpgaflow_port #(WIDTH_A, MODE_A, SAFE)
    a (clk_a, enable_a, write_a, reset_a, at_a, in_a, now_a, word_a, bits_a, put_a, out_a);
  fpgaflow_port #(WIDTH_B, MODE_B, SAFE)
    b (clk_b, enable_b, write_b, reset_b, at_b, in_b, now_b, word_b, bits_b, put_b, out_b);
  \$mem_v2 #(
    .MEMID("\\words"), .SIZE(512), .OFFSET(0), .ABITS(9), .WIDTH(36), .INIT(INIT[18431:0]),
    .RD_PORTS(2), .RD_CLK_ENABLE(2'b0), .RD_CLK_POLARITY(2'b0), .RD_TRANSPARENCY_MASK(4'b0), .RD_COLLISION_X_MASK(4'b0),
    .RD_WIDE_CONTINUATION(2'b0), .RD_CE_OVER_SRST(2'b0), .RD_ARST_VALUE(72'b0),
    .RD_SRST_VALUE(72'b0), .RD_INIT_VALUE(72'b0),
    .WR_PORTS(2), .WR_CLK_ENABLE(2'b11), .WR_CLK_POLARITY(2'b11), .WR_PRIORITY_MASK(4'b0), .WR_WIDE_CONTINUATION(2'b0)
  ) words (
    .RD_CLK(2'b0), .RD_EN(2'b11), .RD_ARST(2'b0), .RD_SRST(2'b0), .RD_ADDR({word_b, word_a}), .RD_DATA({now_b, now_a}),
    .WR_CLK({clk_b, clk_a}), .WR_EN({bits_b, bits_a}), .WR_ADDR({word_b, word_a}), .WR_DATA({put_b, put_a})
  );
endmodule
