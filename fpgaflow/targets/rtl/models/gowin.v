// Multipliers and block RAM of Gowin (UG287, UG285) as Yosys maps to them, for a techmap.
module MULT9X9 (
  input [8:0] A, SIA, B, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET, output [17:0] DOUT, output [8:0] SOA, SOB
);
  parameter AREG = 0, BREG = 0, OUT_REG = 0, PIPE_REG = 0, ASIGN_REG = 0, BSIGN_REG = 0, SOA_REG = 0;
  parameter MULT_RESET_MODE = "SYNC";
  parameter _TECHMAP_CONSTMSK_ASEL_ = 0, _TECHMAP_CONSTVAL_ASEL_ = 0, _TECHMAP_CONSTMSK_BSEL_ = 0, _TECHMAP_CONSTVAL_BSEL_ = 0;
  wire _TECHMAP_FAIL_ = AREG || BREG || OUT_REG || PIPE_REG || ASIGN_REG || BSIGN_REG || SOA_REG
    || !_TECHMAP_CONSTMSK_ASEL_ || _TECHMAP_CONSTVAL_ASEL_ || !_TECHMAP_CONSTMSK_BSEL_ || _TECHMAP_CONSTVAL_BSEL_;
  wire signed [9:0] a = {ASIGN & A[8], A}, b = {BSIGN & B[8], B};
  assign DOUT = a * b;
endmodule

module MULT18X18 (
  input [17:0] A, SIA, B, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET, output [35:0] DOUT, output [17:0] SOA, SOB
);
  parameter AREG = 0, BREG = 0, OUT_REG = 0, PIPE_REG = 0, ASIGN_REG = 0, BSIGN_REG = 0, SOA_REG = 0;
  parameter MULT_RESET_MODE = "SYNC";
  parameter _TECHMAP_CONSTMSK_ASEL_ = 0, _TECHMAP_CONSTVAL_ASEL_ = 0, _TECHMAP_CONSTMSK_BSEL_ = 0, _TECHMAP_CONSTVAL_BSEL_ = 0;
  wire _TECHMAP_FAIL_ = AREG || BREG || OUT_REG || PIPE_REG || ASIGN_REG || BSIGN_REG || SOA_REG
    || !_TECHMAP_CONSTMSK_ASEL_ || _TECHMAP_CONSTVAL_ASEL_ || !_TECHMAP_CONSTMSK_BSEL_ || _TECHMAP_CONSTVAL_BSEL_;
  wire signed [18:0] a = {ASIGN & A[17], A}, b = {BSIGN & B[17], B};
  assign DOUT = a * b;
endmodule

module SP (
  output [31:0] DO, input [31:0] DI, input [2:0] BLKSEL, input [13:0] AD, input WRE, CLK, CE, OCE, RESET
);
  parameter READ_MODE = 0, WRITE_MODE = 0, BIT_WIDTH = 32, BLK_SEL = 0, RESET_MODE = "SYNC";
  parameter _TECHMAP_CONSTMSK_RESET_ = 0, _TECHMAP_CONSTVAL_RESET_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSEL_ = 0, _TECHMAP_CONSTVAL_BLKSEL_ = 0;
  localparam NO_RESET = _TECHMAP_CONSTMSK_RESET_ && !_TECHMAP_CONSTVAL_RESET_;
  parameter [255:0] INIT_RAM_00 = 0;
  parameter [255:0] INIT_RAM_01 = 0;
  parameter [255:0] INIT_RAM_02 = 0;
  parameter [255:0] INIT_RAM_03 = 0;
  parameter [255:0] INIT_RAM_04 = 0;
  parameter [255:0] INIT_RAM_05 = 0;
  parameter [255:0] INIT_RAM_06 = 0;
  parameter [255:0] INIT_RAM_07 = 0;
  parameter [255:0] INIT_RAM_08 = 0;
  parameter [255:0] INIT_RAM_09 = 0;
  parameter [255:0] INIT_RAM_0A = 0;
  parameter [255:0] INIT_RAM_0B = 0;
  parameter [255:0] INIT_RAM_0C = 0;
  parameter [255:0] INIT_RAM_0D = 0;
  parameter [255:0] INIT_RAM_0E = 0;
  parameter [255:0] INIT_RAM_0F = 0;
  parameter [255:0] INIT_RAM_10 = 0;
  parameter [255:0] INIT_RAM_11 = 0;
  parameter [255:0] INIT_RAM_12 = 0;
  parameter [255:0] INIT_RAM_13 = 0;
  parameter [255:0] INIT_RAM_14 = 0;
  parameter [255:0] INIT_RAM_15 = 0;
  parameter [255:0] INIT_RAM_16 = 0;
  parameter [255:0] INIT_RAM_17 = 0;
  parameter [255:0] INIT_RAM_18 = 0;
  parameter [255:0] INIT_RAM_19 = 0;
  parameter [255:0] INIT_RAM_1A = 0;
  parameter [255:0] INIT_RAM_1B = 0;
  parameter [255:0] INIT_RAM_1C = 0;
  parameter [255:0] INIT_RAM_1D = 0;
  parameter [255:0] INIT_RAM_1E = 0;
  parameter [255:0] INIT_RAM_1F = 0;
  parameter [255:0] INIT_RAM_20 = 0;
  parameter [255:0] INIT_RAM_21 = 0;
  parameter [255:0] INIT_RAM_22 = 0;
  parameter [255:0] INIT_RAM_23 = 0;
  parameter [255:0] INIT_RAM_24 = 0;
  parameter [255:0] INIT_RAM_25 = 0;
  parameter [255:0] INIT_RAM_26 = 0;
  parameter [255:0] INIT_RAM_27 = 0;
  parameter [255:0] INIT_RAM_28 = 0;
  parameter [255:0] INIT_RAM_29 = 0;
  parameter [255:0] INIT_RAM_2A = 0;
  parameter [255:0] INIT_RAM_2B = 0;
  parameter [255:0] INIT_RAM_2C = 0;
  parameter [255:0] INIT_RAM_2D = 0;
  parameter [255:0] INIT_RAM_2E = 0;
  parameter [255:0] INIT_RAM_2F = 0;
  parameter [255:0] INIT_RAM_30 = 0;
  parameter [255:0] INIT_RAM_31 = 0;
  parameter [255:0] INIT_RAM_32 = 0;
  parameter [255:0] INIT_RAM_33 = 0;
  parameter [255:0] INIT_RAM_34 = 0;
  parameter [255:0] INIT_RAM_35 = 0;
  parameter [255:0] INIT_RAM_36 = 0;
  parameter [255:0] INIT_RAM_37 = 0;
  parameter [255:0] INIT_RAM_38 = 0;
  parameter [255:0] INIT_RAM_39 = 0;
  parameter [255:0] INIT_RAM_3A = 0;
  parameter [255:0] INIT_RAM_3B = 0;
  parameter [255:0] INIT_RAM_3C = 0;
  parameter [255:0] INIT_RAM_3D = 0;
  parameter [255:0] INIT_RAM_3E = 0;
  parameter [255:0] INIT_RAM_3F = 0;
  function [18431:0] words(input [16383:0] bytes);
    integer k;
    for (k = 0; k < 2048; k = k + 1) words[9*k +: 9] = bytes[8*k +: 8];
  endfunction
  localparam INIT = words({
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
    INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
    INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
    INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
    INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
    INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
    INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
    INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
  });
  wire _TECHMAP_FAIL_ = READ_MODE || RESET_MODE != "SYNC" && !NO_RESET || !&_TECHMAP_CONSTMSK_BLKSEL_ || _TECHMAP_CONSTVAL_BLKSEL_ != BLK_SEL;
  wire [35:0] out;
  wire [31:0] in = DI;
  fpgaflow_block #(.WIDTH_A(BIT_WIDTH < 8 ? BIT_WIDTH : BIT_WIDTH / 8 * 9), .MODE_A(WRITE_MODE), .INIT(INIT)) ram (
    .clk_a(CLK), .enable_a(CE), .write_a(WRE), .reset_a(RESET), .at_a(AD), .in_a(BIT_WIDTH < 8 ? in : {1'b0, in[31:24], 1'b0, in[23:16], 1'b0, in[15:8], 1'b0, in[7:0]}), .out_a(out),
    .clk_b(CLK), .enable_b(1'b0), .write_b(1'b0), .reset_b(1'b0), .at_b(14'b0), .in_b(36'b0)
  );
  assign DO = BIT_WIDTH < 8 ? out : {out[34:27], out[25:18], out[16:9], out[7:0]};
endmodule

module SDPB (
  input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB, input [13:0] ADA, ADB, input [31:0] DI,
  input [2:0] BLKSELA, BLKSELB, output [31:0] DO
);
  parameter READ_MODE = 0, BIT_WIDTH_0 = 32, BIT_WIDTH_1 = 32, BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  parameter _TECHMAP_CONSTMSK_RESETB_ = 0, _TECHMAP_CONSTVAL_RESETB_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSELA_ = 0, _TECHMAP_CONSTVAL_BLKSELA_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSELB_ = 0, _TECHMAP_CONSTVAL_BLKSELB_ = 0;
  localparam NO_RESET = _TECHMAP_CONSTMSK_RESETB_ && !_TECHMAP_CONSTVAL_RESETB_;
  parameter [255:0] INIT_RAM_00 = 0;
  parameter [255:0] INIT_RAM_01 = 0;
  parameter [255:0] INIT_RAM_02 = 0;
  parameter [255:0] INIT_RAM_03 = 0;
  parameter [255:0] INIT_RAM_04 = 0;
  parameter [255:0] INIT_RAM_05 = 0;
  parameter [255:0] INIT_RAM_06 = 0;
  parameter [255:0] INIT_RAM_07 = 0;
  parameter [255:0] INIT_RAM_08 = 0;
  parameter [255:0] INIT_RAM_09 = 0;
  parameter [255:0] INIT_RAM_0A = 0;
  parameter [255:0] INIT_RAM_0B = 0;
  parameter [255:0] INIT_RAM_0C = 0;
  parameter [255:0] INIT_RAM_0D = 0;
  parameter [255:0] INIT_RAM_0E = 0;
  parameter [255:0] INIT_RAM_0F = 0;
  parameter [255:0] INIT_RAM_10 = 0;
  parameter [255:0] INIT_RAM_11 = 0;
  parameter [255:0] INIT_RAM_12 = 0;
  parameter [255:0] INIT_RAM_13 = 0;
  parameter [255:0] INIT_RAM_14 = 0;
  parameter [255:0] INIT_RAM_15 = 0;
  parameter [255:0] INIT_RAM_16 = 0;
  parameter [255:0] INIT_RAM_17 = 0;
  parameter [255:0] INIT_RAM_18 = 0;
  parameter [255:0] INIT_RAM_19 = 0;
  parameter [255:0] INIT_RAM_1A = 0;
  parameter [255:0] INIT_RAM_1B = 0;
  parameter [255:0] INIT_RAM_1C = 0;
  parameter [255:0] INIT_RAM_1D = 0;
  parameter [255:0] INIT_RAM_1E = 0;
  parameter [255:0] INIT_RAM_1F = 0;
  parameter [255:0] INIT_RAM_20 = 0;
  parameter [255:0] INIT_RAM_21 = 0;
  parameter [255:0] INIT_RAM_22 = 0;
  parameter [255:0] INIT_RAM_23 = 0;
  parameter [255:0] INIT_RAM_24 = 0;
  parameter [255:0] INIT_RAM_25 = 0;
  parameter [255:0] INIT_RAM_26 = 0;
  parameter [255:0] INIT_RAM_27 = 0;
  parameter [255:0] INIT_RAM_28 = 0;
  parameter [255:0] INIT_RAM_29 = 0;
  parameter [255:0] INIT_RAM_2A = 0;
  parameter [255:0] INIT_RAM_2B = 0;
  parameter [255:0] INIT_RAM_2C = 0;
  parameter [255:0] INIT_RAM_2D = 0;
  parameter [255:0] INIT_RAM_2E = 0;
  parameter [255:0] INIT_RAM_2F = 0;
  parameter [255:0] INIT_RAM_30 = 0;
  parameter [255:0] INIT_RAM_31 = 0;
  parameter [255:0] INIT_RAM_32 = 0;
  parameter [255:0] INIT_RAM_33 = 0;
  parameter [255:0] INIT_RAM_34 = 0;
  parameter [255:0] INIT_RAM_35 = 0;
  parameter [255:0] INIT_RAM_36 = 0;
  parameter [255:0] INIT_RAM_37 = 0;
  parameter [255:0] INIT_RAM_38 = 0;
  parameter [255:0] INIT_RAM_39 = 0;
  parameter [255:0] INIT_RAM_3A = 0;
  parameter [255:0] INIT_RAM_3B = 0;
  parameter [255:0] INIT_RAM_3C = 0;
  parameter [255:0] INIT_RAM_3D = 0;
  parameter [255:0] INIT_RAM_3E = 0;
  parameter [255:0] INIT_RAM_3F = 0;
  function [18431:0] words(input [16383:0] bytes);
    integer k;
    for (k = 0; k < 2048; k = k + 1) words[9*k +: 9] = bytes[8*k +: 8];
  endfunction
  localparam INIT = words({
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
    INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
    INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
    INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
    INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
    INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
    INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
    INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
  });
  wire _TECHMAP_FAIL_ = READ_MODE || RESET_MODE != "SYNC" && !NO_RESET || !&_TECHMAP_CONSTMSK_BLKSELA_ || _TECHMAP_CONSTVAL_BLKSELA_ != BLK_SEL_0 || !&_TECHMAP_CONSTMSK_BLKSELB_ || _TECHMAP_CONSTVAL_BLKSELB_ != BLK_SEL_1;
  wire [35:0] out;
  wire [31:0] in = DI;
  fpgaflow_block #(.WIDTH_A(BIT_WIDTH_0 < 8 ? BIT_WIDTH_0 : BIT_WIDTH_0 / 8 * 9), .WIDTH_B(BIT_WIDTH_1 < 8 ? BIT_WIDTH_1 : BIT_WIDTH_1 / 8 * 9), .INIT(INIT)) ram (
    .clk_a(CLKA), .enable_a(CEA), .write_a(1'b1), .reset_a(1'b0), .at_a(ADA), .in_a(BIT_WIDTH_0 < 8 ? in : {1'b0, in[31:24], 1'b0, in[23:16], 1'b0, in[15:8], 1'b0, in[7:0]}),
    .clk_b(CLKB), .enable_b(CEB), .write_b(1'b0), .reset_b(RESETB), .at_b(ADB), .in_b(36'b0), .out_b(out)
  );
  assign DO = BIT_WIDTH_1 < 8 ? out : {out[34:27], out[25:18], out[16:9], out[7:0]};
endmodule

module SPX9 (
  output [35:0] DO, input [35:0] DI, input [2:0] BLKSEL, input [13:0] AD, input WRE, CLK, CE, OCE, RESET
);
  parameter READ_MODE = 0, WRITE_MODE = 0, BIT_WIDTH = 36, BLK_SEL = 0, RESET_MODE = "SYNC";
  parameter _TECHMAP_CONSTMSK_RESET_ = 0, _TECHMAP_CONSTVAL_RESET_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSEL_ = 0, _TECHMAP_CONSTVAL_BLKSEL_ = 0;
  localparam NO_RESET = _TECHMAP_CONSTMSK_RESET_ && !_TECHMAP_CONSTVAL_RESET_;
  parameter [287:0] INIT_RAM_00 = 0;
  parameter [287:0] INIT_RAM_01 = 0;
  parameter [287:0] INIT_RAM_02 = 0;
  parameter [287:0] INIT_RAM_03 = 0;
  parameter [287:0] INIT_RAM_04 = 0;
  parameter [287:0] INIT_RAM_05 = 0;
  parameter [287:0] INIT_RAM_06 = 0;
  parameter [287:0] INIT_RAM_07 = 0;
  parameter [287:0] INIT_RAM_08 = 0;
  parameter [287:0] INIT_RAM_09 = 0;
  parameter [287:0] INIT_RAM_0A = 0;
  parameter [287:0] INIT_RAM_0B = 0;
  parameter [287:0] INIT_RAM_0C = 0;
  parameter [287:0] INIT_RAM_0D = 0;
  parameter [287:0] INIT_RAM_0E = 0;
  parameter [287:0] INIT_RAM_0F = 0;
  parameter [287:0] INIT_RAM_10 = 0;
  parameter [287:0] INIT_RAM_11 = 0;
  parameter [287:0] INIT_RAM_12 = 0;
  parameter [287:0] INIT_RAM_13 = 0;
  parameter [287:0] INIT_RAM_14 = 0;
  parameter [287:0] INIT_RAM_15 = 0;
  parameter [287:0] INIT_RAM_16 = 0;
  parameter [287:0] INIT_RAM_17 = 0;
  parameter [287:0] INIT_RAM_18 = 0;
  parameter [287:0] INIT_RAM_19 = 0;
  parameter [287:0] INIT_RAM_1A = 0;
  parameter [287:0] INIT_RAM_1B = 0;
  parameter [287:0] INIT_RAM_1C = 0;
  parameter [287:0] INIT_RAM_1D = 0;
  parameter [287:0] INIT_RAM_1E = 0;
  parameter [287:0] INIT_RAM_1F = 0;
  parameter [287:0] INIT_RAM_20 = 0;
  parameter [287:0] INIT_RAM_21 = 0;
  parameter [287:0] INIT_RAM_22 = 0;
  parameter [287:0] INIT_RAM_23 = 0;
  parameter [287:0] INIT_RAM_24 = 0;
  parameter [287:0] INIT_RAM_25 = 0;
  parameter [287:0] INIT_RAM_26 = 0;
  parameter [287:0] INIT_RAM_27 = 0;
  parameter [287:0] INIT_RAM_28 = 0;
  parameter [287:0] INIT_RAM_29 = 0;
  parameter [287:0] INIT_RAM_2A = 0;
  parameter [287:0] INIT_RAM_2B = 0;
  parameter [287:0] INIT_RAM_2C = 0;
  parameter [287:0] INIT_RAM_2D = 0;
  parameter [287:0] INIT_RAM_2E = 0;
  parameter [287:0] INIT_RAM_2F = 0;
  parameter [287:0] INIT_RAM_30 = 0;
  parameter [287:0] INIT_RAM_31 = 0;
  parameter [287:0] INIT_RAM_32 = 0;
  parameter [287:0] INIT_RAM_33 = 0;
  parameter [287:0] INIT_RAM_34 = 0;
  parameter [287:0] INIT_RAM_35 = 0;
  parameter [287:0] INIT_RAM_36 = 0;
  parameter [287:0] INIT_RAM_37 = 0;
  parameter [287:0] INIT_RAM_38 = 0;
  parameter [287:0] INIT_RAM_39 = 0;
  parameter [287:0] INIT_RAM_3A = 0;
  parameter [287:0] INIT_RAM_3B = 0;
  parameter [287:0] INIT_RAM_3C = 0;
  parameter [287:0] INIT_RAM_3D = 0;
  parameter [287:0] INIT_RAM_3E = 0;
  parameter [287:0] INIT_RAM_3F = 0;
  localparam INIT = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
    INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
    INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
    INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
    INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
    INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
    INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
    INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
  };
  wire _TECHMAP_FAIL_ = READ_MODE || RESET_MODE != "SYNC" && !NO_RESET || !&_TECHMAP_CONSTMSK_BLKSEL_ || _TECHMAP_CONSTVAL_BLKSEL_ != BLK_SEL;
  wire [35:0] out;
  wire [35:0] in = DI;
  fpgaflow_block #(.WIDTH_A(BIT_WIDTH), .MODE_A(WRITE_MODE), .INIT(INIT)) ram (
    .clk_a(CLK), .enable_a(CE), .write_a(WRE), .reset_a(RESET), .at_a(AD), .in_a(in), .out_a(out),
    .clk_b(CLK), .enable_b(1'b0), .write_b(1'b0), .reset_b(1'b0), .at_b(14'b0), .in_b(36'b0)
  );
  assign DO = out;
endmodule

module SDPX9B (
  input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB, input [13:0] ADA, ADB, input [35:0] DI,
  input [2:0] BLKSELA, BLKSELB, output [35:0] DO
);
  parameter READ_MODE = 0, BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  parameter _TECHMAP_CONSTMSK_RESETB_ = 0, _TECHMAP_CONSTVAL_RESETB_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSELA_ = 0, _TECHMAP_CONSTVAL_BLKSELA_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSELB_ = 0, _TECHMAP_CONSTVAL_BLKSELB_ = 0;
  localparam NO_RESET = _TECHMAP_CONSTMSK_RESETB_ && !_TECHMAP_CONSTVAL_RESETB_;
  parameter [287:0] INIT_RAM_00 = 0;
  parameter [287:0] INIT_RAM_01 = 0;
  parameter [287:0] INIT_RAM_02 = 0;
  parameter [287:0] INIT_RAM_03 = 0;
  parameter [287:0] INIT_RAM_04 = 0;
  parameter [287:0] INIT_RAM_05 = 0;
  parameter [287:0] INIT_RAM_06 = 0;
  parameter [287:0] INIT_RAM_07 = 0;
  parameter [287:0] INIT_RAM_08 = 0;
  parameter [287:0] INIT_RAM_09 = 0;
  parameter [287:0] INIT_RAM_0A = 0;
  parameter [287:0] INIT_RAM_0B = 0;
  parameter [287:0] INIT_RAM_0C = 0;
  parameter [287:0] INIT_RAM_0D = 0;
  parameter [287:0] INIT_RAM_0E = 0;
  parameter [287:0] INIT_RAM_0F = 0;
  parameter [287:0] INIT_RAM_10 = 0;
  parameter [287:0] INIT_RAM_11 = 0;
  parameter [287:0] INIT_RAM_12 = 0;
  parameter [287:0] INIT_RAM_13 = 0;
  parameter [287:0] INIT_RAM_14 = 0;
  parameter [287:0] INIT_RAM_15 = 0;
  parameter [287:0] INIT_RAM_16 = 0;
  parameter [287:0] INIT_RAM_17 = 0;
  parameter [287:0] INIT_RAM_18 = 0;
  parameter [287:0] INIT_RAM_19 = 0;
  parameter [287:0] INIT_RAM_1A = 0;
  parameter [287:0] INIT_RAM_1B = 0;
  parameter [287:0] INIT_RAM_1C = 0;
  parameter [287:0] INIT_RAM_1D = 0;
  parameter [287:0] INIT_RAM_1E = 0;
  parameter [287:0] INIT_RAM_1F = 0;
  parameter [287:0] INIT_RAM_20 = 0;
  parameter [287:0] INIT_RAM_21 = 0;
  parameter [287:0] INIT_RAM_22 = 0;
  parameter [287:0] INIT_RAM_23 = 0;
  parameter [287:0] INIT_RAM_24 = 0;
  parameter [287:0] INIT_RAM_25 = 0;
  parameter [287:0] INIT_RAM_26 = 0;
  parameter [287:0] INIT_RAM_27 = 0;
  parameter [287:0] INIT_RAM_28 = 0;
  parameter [287:0] INIT_RAM_29 = 0;
  parameter [287:0] INIT_RAM_2A = 0;
  parameter [287:0] INIT_RAM_2B = 0;
  parameter [287:0] INIT_RAM_2C = 0;
  parameter [287:0] INIT_RAM_2D = 0;
  parameter [287:0] INIT_RAM_2E = 0;
  parameter [287:0] INIT_RAM_2F = 0;
  parameter [287:0] INIT_RAM_30 = 0;
  parameter [287:0] INIT_RAM_31 = 0;
  parameter [287:0] INIT_RAM_32 = 0;
  parameter [287:0] INIT_RAM_33 = 0;
  parameter [287:0] INIT_RAM_34 = 0;
  parameter [287:0] INIT_RAM_35 = 0;
  parameter [287:0] INIT_RAM_36 = 0;
  parameter [287:0] INIT_RAM_37 = 0;
  parameter [287:0] INIT_RAM_38 = 0;
  parameter [287:0] INIT_RAM_39 = 0;
  parameter [287:0] INIT_RAM_3A = 0;
  parameter [287:0] INIT_RAM_3B = 0;
  parameter [287:0] INIT_RAM_3C = 0;
  parameter [287:0] INIT_RAM_3D = 0;
  parameter [287:0] INIT_RAM_3E = 0;
  parameter [287:0] INIT_RAM_3F = 0;
  localparam INIT = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
    INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
    INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
    INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
    INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
    INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
    INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
    INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
  };
  wire _TECHMAP_FAIL_ = READ_MODE || RESET_MODE != "SYNC" && !NO_RESET || !&_TECHMAP_CONSTMSK_BLKSELA_ || _TECHMAP_CONSTVAL_BLKSELA_ != BLK_SEL_0 || !&_TECHMAP_CONSTMSK_BLKSELB_ || _TECHMAP_CONSTVAL_BLKSELB_ != BLK_SEL_1;
  wire [35:0] out;
  wire [35:0] in = DI;
  fpgaflow_block #(.WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .INIT(INIT)) ram (
    .clk_a(CLKA), .enable_a(CEA), .write_a(1'b1), .reset_a(1'b0), .at_a(ADA), .in_a(in),
    .clk_b(CLKB), .enable_b(CEB), .write_b(1'b0), .reset_b(RESETB), .at_b(ADB), .in_b(36'b0), .out_b(out)
  );
  assign DO = out;
endmodule

module DPB (
  input CLKA, CEA, CLKB, CEB, OCEA, OCEB, RESETA, RESETB, WREA, WREB, input [13:0] ADA, ADB, input [15:0] DIA, DIB,
  input [2:0] BLKSELA, BLKSELB, output [15:0] DOA, DOB
);
  parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0, BIT_WIDTH_0 = 16, BIT_WIDTH_1 = 16;
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  parameter _TECHMAP_CONSTMSK_RESETA_ = 0, _TECHMAP_CONSTVAL_RESETA_ = 0;
  parameter _TECHMAP_CONSTMSK_RESETB_ = 0, _TECHMAP_CONSTVAL_RESETB_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSELA_ = 0, _TECHMAP_CONSTVAL_BLKSELA_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSELB_ = 0, _TECHMAP_CONSTVAL_BLKSELB_ = 0;
  localparam NO_RESET = _TECHMAP_CONSTMSK_RESETA_ && !_TECHMAP_CONSTVAL_RESETA_ && _TECHMAP_CONSTMSK_RESETB_ && !_TECHMAP_CONSTVAL_RESETB_;
  parameter [255:0] INIT_RAM_00 = 0;
  parameter [255:0] INIT_RAM_01 = 0;
  parameter [255:0] INIT_RAM_02 = 0;
  parameter [255:0] INIT_RAM_03 = 0;
  parameter [255:0] INIT_RAM_04 = 0;
  parameter [255:0] INIT_RAM_05 = 0;
  parameter [255:0] INIT_RAM_06 = 0;
  parameter [255:0] INIT_RAM_07 = 0;
  parameter [255:0] INIT_RAM_08 = 0;
  parameter [255:0] INIT_RAM_09 = 0;
  parameter [255:0] INIT_RAM_0A = 0;
  parameter [255:0] INIT_RAM_0B = 0;
  parameter [255:0] INIT_RAM_0C = 0;
  parameter [255:0] INIT_RAM_0D = 0;
  parameter [255:0] INIT_RAM_0E = 0;
  parameter [255:0] INIT_RAM_0F = 0;
  parameter [255:0] INIT_RAM_10 = 0;
  parameter [255:0] INIT_RAM_11 = 0;
  parameter [255:0] INIT_RAM_12 = 0;
  parameter [255:0] INIT_RAM_13 = 0;
  parameter [255:0] INIT_RAM_14 = 0;
  parameter [255:0] INIT_RAM_15 = 0;
  parameter [255:0] INIT_RAM_16 = 0;
  parameter [255:0] INIT_RAM_17 = 0;
  parameter [255:0] INIT_RAM_18 = 0;
  parameter [255:0] INIT_RAM_19 = 0;
  parameter [255:0] INIT_RAM_1A = 0;
  parameter [255:0] INIT_RAM_1B = 0;
  parameter [255:0] INIT_RAM_1C = 0;
  parameter [255:0] INIT_RAM_1D = 0;
  parameter [255:0] INIT_RAM_1E = 0;
  parameter [255:0] INIT_RAM_1F = 0;
  parameter [255:0] INIT_RAM_20 = 0;
  parameter [255:0] INIT_RAM_21 = 0;
  parameter [255:0] INIT_RAM_22 = 0;
  parameter [255:0] INIT_RAM_23 = 0;
  parameter [255:0] INIT_RAM_24 = 0;
  parameter [255:0] INIT_RAM_25 = 0;
  parameter [255:0] INIT_RAM_26 = 0;
  parameter [255:0] INIT_RAM_27 = 0;
  parameter [255:0] INIT_RAM_28 = 0;
  parameter [255:0] INIT_RAM_29 = 0;
  parameter [255:0] INIT_RAM_2A = 0;
  parameter [255:0] INIT_RAM_2B = 0;
  parameter [255:0] INIT_RAM_2C = 0;
  parameter [255:0] INIT_RAM_2D = 0;
  parameter [255:0] INIT_RAM_2E = 0;
  parameter [255:0] INIT_RAM_2F = 0;
  parameter [255:0] INIT_RAM_30 = 0;
  parameter [255:0] INIT_RAM_31 = 0;
  parameter [255:0] INIT_RAM_32 = 0;
  parameter [255:0] INIT_RAM_33 = 0;
  parameter [255:0] INIT_RAM_34 = 0;
  parameter [255:0] INIT_RAM_35 = 0;
  parameter [255:0] INIT_RAM_36 = 0;
  parameter [255:0] INIT_RAM_37 = 0;
  parameter [255:0] INIT_RAM_38 = 0;
  parameter [255:0] INIT_RAM_39 = 0;
  parameter [255:0] INIT_RAM_3A = 0;
  parameter [255:0] INIT_RAM_3B = 0;
  parameter [255:0] INIT_RAM_3C = 0;
  parameter [255:0] INIT_RAM_3D = 0;
  parameter [255:0] INIT_RAM_3E = 0;
  parameter [255:0] INIT_RAM_3F = 0;
  function [18431:0] words(input [16383:0] bytes);
    integer k;
    for (k = 0; k < 2048; k = k + 1) words[9*k +: 9] = bytes[8*k +: 8];
  endfunction
  localparam INIT = words({
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
    INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
    INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
    INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
    INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
    INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
    INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
    INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
  });
  wire _TECHMAP_FAIL_ = READ_MODE0 || READ_MODE1 || RESET_MODE != "SYNC" && !NO_RESET || !&_TECHMAP_CONSTMSK_BLKSELA_ || _TECHMAP_CONSTVAL_BLKSELA_ != BLK_SEL_0 || !&_TECHMAP_CONSTMSK_BLKSELB_ || _TECHMAP_CONSTVAL_BLKSELB_ != BLK_SEL_1;
  wire [35:0] out_a, out_b;
  fpgaflow_block #(
    .WIDTH_A(BIT_WIDTH_0 < 8 ? BIT_WIDTH_0 : BIT_WIDTH_0 / 8 * 9), .WIDTH_B(BIT_WIDTH_1 < 8 ? BIT_WIDTH_1 : BIT_WIDTH_1 / 8 * 9), .MODE_A(WRITE_MODE0), .MODE_B(WRITE_MODE1), .INIT(INIT)
  ) ram (
    .clk_a(CLKA), .enable_a(CEA), .write_a(WREA), .reset_a(RESETA), .at_a(ADA), .in_a(BIT_WIDTH_0 < 8 ? DIA : {1'b0, DIA[15:8], 1'b0, DIA[7:0]}), .out_a(out_a),
    .clk_b(CLKB), .enable_b(CEB), .write_b(WREB), .reset_b(RESETB), .at_b(ADB), .in_b(BIT_WIDTH_1 < 8 ? DIB : {1'b0, DIB[15:8], 1'b0, DIB[7:0]}), .out_b(out_b)
  );
  assign DOA = BIT_WIDTH_0 < 8 ? out_a : {out_a[16:9], out_a[7:0]};
  assign DOB = BIT_WIDTH_1 < 8 ? out_b : {out_b[16:9], out_b[7:0]};
endmodule

module DPX9B (
  input CLKA, CEA, CLKB, CEB, OCEA, OCEB, RESETA, RESETB, WREA, WREB, input [13:0] ADA, ADB, input [17:0] DIA, DIB,
  input [2:0] BLKSELA, BLKSELB, output [17:0] DOA, DOB
);
  parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0, BIT_WIDTH_0 = 18, BIT_WIDTH_1 = 18;
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  parameter _TECHMAP_CONSTMSK_RESETA_ = 0, _TECHMAP_CONSTVAL_RESETA_ = 0;
  parameter _TECHMAP_CONSTMSK_RESETB_ = 0, _TECHMAP_CONSTVAL_RESETB_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSELA_ = 0, _TECHMAP_CONSTVAL_BLKSELA_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_BLKSELB_ = 0, _TECHMAP_CONSTVAL_BLKSELB_ = 0;
  localparam NO_RESET = _TECHMAP_CONSTMSK_RESETA_ && !_TECHMAP_CONSTVAL_RESETA_ && _TECHMAP_CONSTMSK_RESETB_ && !_TECHMAP_CONSTVAL_RESETB_;
  parameter [287:0] INIT_RAM_00 = 0;
  parameter [287:0] INIT_RAM_01 = 0;
  parameter [287:0] INIT_RAM_02 = 0;
  parameter [287:0] INIT_RAM_03 = 0;
  parameter [287:0] INIT_RAM_04 = 0;
  parameter [287:0] INIT_RAM_05 = 0;
  parameter [287:0] INIT_RAM_06 = 0;
  parameter [287:0] INIT_RAM_07 = 0;
  parameter [287:0] INIT_RAM_08 = 0;
  parameter [287:0] INIT_RAM_09 = 0;
  parameter [287:0] INIT_RAM_0A = 0;
  parameter [287:0] INIT_RAM_0B = 0;
  parameter [287:0] INIT_RAM_0C = 0;
  parameter [287:0] INIT_RAM_0D = 0;
  parameter [287:0] INIT_RAM_0E = 0;
  parameter [287:0] INIT_RAM_0F = 0;
  parameter [287:0] INIT_RAM_10 = 0;
  parameter [287:0] INIT_RAM_11 = 0;
  parameter [287:0] INIT_RAM_12 = 0;
  parameter [287:0] INIT_RAM_13 = 0;
  parameter [287:0] INIT_RAM_14 = 0;
  parameter [287:0] INIT_RAM_15 = 0;
  parameter [287:0] INIT_RAM_16 = 0;
  parameter [287:0] INIT_RAM_17 = 0;
  parameter [287:0] INIT_RAM_18 = 0;
  parameter [287:0] INIT_RAM_19 = 0;
  parameter [287:0] INIT_RAM_1A = 0;
  parameter [287:0] INIT_RAM_1B = 0;
  parameter [287:0] INIT_RAM_1C = 0;
  parameter [287:0] INIT_RAM_1D = 0;
  parameter [287:0] INIT_RAM_1E = 0;
  parameter [287:0] INIT_RAM_1F = 0;
  parameter [287:0] INIT_RAM_20 = 0;
  parameter [287:0] INIT_RAM_21 = 0;
  parameter [287:0] INIT_RAM_22 = 0;
  parameter [287:0] INIT_RAM_23 = 0;
  parameter [287:0] INIT_RAM_24 = 0;
  parameter [287:0] INIT_RAM_25 = 0;
  parameter [287:0] INIT_RAM_26 = 0;
  parameter [287:0] INIT_RAM_27 = 0;
  parameter [287:0] INIT_RAM_28 = 0;
  parameter [287:0] INIT_RAM_29 = 0;
  parameter [287:0] INIT_RAM_2A = 0;
  parameter [287:0] INIT_RAM_2B = 0;
  parameter [287:0] INIT_RAM_2C = 0;
  parameter [287:0] INIT_RAM_2D = 0;
  parameter [287:0] INIT_RAM_2E = 0;
  parameter [287:0] INIT_RAM_2F = 0;
  parameter [287:0] INIT_RAM_30 = 0;
  parameter [287:0] INIT_RAM_31 = 0;
  parameter [287:0] INIT_RAM_32 = 0;
  parameter [287:0] INIT_RAM_33 = 0;
  parameter [287:0] INIT_RAM_34 = 0;
  parameter [287:0] INIT_RAM_35 = 0;
  parameter [287:0] INIT_RAM_36 = 0;
  parameter [287:0] INIT_RAM_37 = 0;
  parameter [287:0] INIT_RAM_38 = 0;
  parameter [287:0] INIT_RAM_39 = 0;
  parameter [287:0] INIT_RAM_3A = 0;
  parameter [287:0] INIT_RAM_3B = 0;
  parameter [287:0] INIT_RAM_3C = 0;
  parameter [287:0] INIT_RAM_3D = 0;
  parameter [287:0] INIT_RAM_3E = 0;
  parameter [287:0] INIT_RAM_3F = 0;
  localparam INIT = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
    INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
    INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
    INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
    INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
    INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
    INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
    INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
  };
  wire _TECHMAP_FAIL_ = READ_MODE0 || READ_MODE1 || RESET_MODE != "SYNC" && !NO_RESET || !&_TECHMAP_CONSTMSK_BLKSELA_ || _TECHMAP_CONSTVAL_BLKSELA_ != BLK_SEL_0 || !&_TECHMAP_CONSTMSK_BLKSELB_ || _TECHMAP_CONSTVAL_BLKSELB_ != BLK_SEL_1;
  wire [35:0] out_a, out_b;
  fpgaflow_block #(
    .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .MODE_A(WRITE_MODE0), .MODE_B(WRITE_MODE1), .INIT(INIT)
  ) ram (
    .clk_a(CLKA), .enable_a(CEA), .write_a(WREA), .reset_a(RESETA), .at_a(ADA), .in_a(DIA), .out_a(out_a),
    .clk_b(CLKB), .enable_b(CEB), .write_b(WREB), .reset_b(RESETB), .at_b(ADB), .in_b(DIB), .out_b(out_b)
  );
  assign DOA = out_a;
  assign DOB = out_b;
endmodule
