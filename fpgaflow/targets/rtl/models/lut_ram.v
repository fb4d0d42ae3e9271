// Memories in LUTs (AMD UG474, UG574) as memories: Yosys' own models are registers, and take a hundred times as long.
module fpgaflow_lut_ram #(parameter ABITS = 5, WIDTH = 2, INIT = 0) (
  input clk, write, input [ABITS-1:0] at, from, input [WIDTH-1:0] in, output [WIDTH-1:0] out
);
  \$mem_v2 #(
    .MEMID("\\words"), .SIZE(1 << ABITS), .OFFSET(0), .ABITS(ABITS), .WIDTH(WIDTH), .INIT(INIT[(WIDTH<<ABITS)-1:0]),
    .RD_PORTS(1), .RD_CLK_ENABLE(1'b0), .RD_CLK_POLARITY(1'b1), .RD_TRANSPARENCY_MASK(1'b0), .RD_COLLISION_X_MASK(1'b0),
    .RD_WIDE_CONTINUATION(1'b0), .RD_CE_OVER_SRST(1'b0), .RD_ARST_VALUE({WIDTH{1'b0}}),
    .RD_SRST_VALUE({WIDTH{1'b0}}), .RD_INIT_VALUE({WIDTH{1'b0}}),
    .WR_PORTS(1), .WR_CLK_ENABLE(1'b1), .WR_CLK_POLARITY(1'b1), .WR_PRIORITY_MASK(1'b0), .WR_WIDE_CONTINUATION(1'b0)
  ) words (
    .RD_CLK(1'b0), .RD_EN(1'b1), .RD_ARST(1'b0), .RD_SRST(1'b0), .RD_ADDR(from), .RD_DATA(out),
    .WR_CLK(clk), .WR_EN({WIDTH{write}}), .WR_ADDR(at), .WR_DATA(in)
  );
endmodule

module RAM32M (
  output [1:0] DOA, DOB, DOC, DOD, input [4:0] ADDRA, ADDRB, ADDRC, ADDRD, input [1:0] DIA, DIB, DIC, DID, input WCLK, WE
);
  parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0;
  parameter [0:0] IS_WCLK_INVERTED = 0;
  wire clk = WCLK ^ IS_WCLK_INVERTED;
  fpgaflow_lut_ram #(5, 2, INIT_A) a (clk, WE, ADDRD, ADDRA, DIA, DOA);
  fpgaflow_lut_ram #(5, 2, INIT_B) b (clk, WE, ADDRD, ADDRB, DIB, DOB);
  fpgaflow_lut_ram #(5, 2, INIT_C) c (clk, WE, ADDRD, ADDRC, DIC, DOC);
  fpgaflow_lut_ram #(5, 2, INIT_D) d (clk, WE, ADDRD, ADDRD, DID, DOD);
endmodule

module RAM64M (
  output DOA, DOB, DOC, DOD, input [5:0] ADDRA, ADDRB, ADDRC, ADDRD, input DIA, DIB, DIC, DID, WCLK, WE
);
  parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0;
  parameter [0:0] IS_WCLK_INVERTED = 0;
  wire clk = WCLK ^ IS_WCLK_INVERTED;
  fpgaflow_lut_ram #(6, 1, INIT_A) a (clk, WE, ADDRD, ADDRA, DIA, DOA);
  fpgaflow_lut_ram #(6, 1, INIT_B) b (clk, WE, ADDRD, ADDRB, DIB, DOB);
  fpgaflow_lut_ram #(6, 1, INIT_C) c (clk, WE, ADDRD, ADDRC, DIC, DOC);
  fpgaflow_lut_ram #(6, 1, INIT_D) d (clk, WE, ADDRD, ADDRD, DID, DOD);
endmodule
