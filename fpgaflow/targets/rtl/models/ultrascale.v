// Cells of UltraScale+ (AMD UG579, UG573, UG574) as Yosys maps to them, for a techmap. DSP48E2 is a product of 27 by 18
// bits there, without registers.
module DSP48E2 (
  input [29:0] A, ACIN, input [3:0] ALUMODE, input [17:0] B, BCIN, input [47:0] C, PCIN, input CARRYIN,
  input [2:0] CARRYINSEL, input [26:0] D, input [4:0] INMODE, input [8:0] OPMODE, output [47:0] P
);
  parameter ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1, CARRYINREG = 1, CARRYINSELREG = 1, CREG = 1;
  parameter DREG = 1, INMODEREG = 1, MREG = 1, OPMODEREG = 1, PREG = 1;
  parameter A_INPUT = "DIRECT", B_INPUT = "DIRECT", USE_MULT = "MULTIPLY", USE_SIMD = "ONE48", AMULTSEL = "A", BMULTSEL = "B";
  parameter [8:0] _TECHMAP_CONSTMSK_OPMODE_ = 0, _TECHMAP_CONSTVAL_OPMODE_ = 0;
  parameter [4:0] _TECHMAP_CONSTMSK_INMODE_ = 0, _TECHMAP_CONSTVAL_INMODE_ = 0;
  parameter [3:0] _TECHMAP_CONSTMSK_ALUMODE_ = 0, _TECHMAP_CONSTVAL_ALUMODE_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_CARRYINSEL_ = 0, _TECHMAP_CONSTVAL_CARRYINSEL_ = 0;
  parameter [0:0] _TECHMAP_CONSTMSK_CARRYIN_ = 0, _TECHMAP_CONSTVAL_CARRYIN_ = 0;
  wire _TECHMAP_FAIL_ = ACASCREG || ADREG || ALUMODEREG || AREG || BCASCREG || BREG || CARRYINREG
    || CARRYINSELREG || CREG || DREG || INMODEREG || MREG || OPMODEREG || PREG
    || A_INPUT != "DIRECT" || B_INPUT != "DIRECT" || USE_MULT != "MULTIPLY" || USE_SIMD != "ONE48" || AMULTSEL != "A"
    || BMULTSEL != "B" || !&_TECHMAP_CONSTMSK_OPMODE_ || _TECHMAP_CONSTVAL_OPMODE_ != 5
    || !&_TECHMAP_CONSTMSK_INMODE_ || _TECHMAP_CONSTVAL_INMODE_ != 0
    || !&_TECHMAP_CONSTMSK_ALUMODE_ || _TECHMAP_CONSTVAL_ALUMODE_ != 0
    || !&_TECHMAP_CONSTMSK_CARRYINSEL_ || _TECHMAP_CONSTVAL_CARRYINSEL_ != 0
    || !&_TECHMAP_CONSTMSK_CARRYIN_ || _TECHMAP_CONSTVAL_CARRYIN_ != 0;
  wire signed [26:0] a = A[26:0];
  wire signed [17:0] b = B;
  wire signed [44:0] product = a * b;
  assign P = product;
endmodule

module RAM32M16 (
  output [1:0] DOA, DOB, DOC, DOD, DOE, DOF, DOG, DOH, input [4:0] ADDRA, ADDRB, ADDRC, ADDRD, ADDRE, ADDRF, ADDRG, ADDRH,
  input [1:0] DIA, DIB, DIC, DID, DIE, DIF, DIG, DIH, input WCLK, WE
);
  parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0, INIT_E = 0, INIT_F = 0, INIT_G = 0, INIT_H = 0;
  parameter [0:0] IS_WCLK_INVERTED = 0;
  wire clk = WCLK ^ IS_WCLK_INVERTED;
  fpgaflow_lut_ram #(5, 2, INIT_A) a (clk, WE, ADDRH, ADDRA, DIA, DOA);
  fpgaflow_lut_ram #(5, 2, INIT_B) b (clk, WE, ADDRH, ADDRB, DIB, DOB);
  fpgaflow_lut_ram #(5, 2, INIT_C) c (clk, WE, ADDRH, ADDRC, DIC, DOC);
  fpgaflow_lut_ram #(5, 2, INIT_D) d (clk, WE, ADDRH, ADDRD, DID, DOD);
  fpgaflow_lut_ram #(5, 2, INIT_E) e (clk, WE, ADDRH, ADDRE, DIE, DOE);
  fpgaflow_lut_ram #(5, 2, INIT_F) f (clk, WE, ADDRH, ADDRF, DIF, DOF);
  fpgaflow_lut_ram #(5, 2, INIT_G) g (clk, WE, ADDRH, ADDRG, DIG, DOG);
  fpgaflow_lut_ram #(5, 2, INIT_H) h (clk, WE, ADDRH, ADDRH, DIH, DOH);
endmodule

module RAM64M8 (
  output DOA, DOB, DOC, DOD, DOE, DOF, DOG, DOH, input [5:0] ADDRA, ADDRB, ADDRC, ADDRD, ADDRE, ADDRF, ADDRG, ADDRH,
  input DIA, DIB, DIC, DID, DIE, DIF, DIG, DIH, input WCLK, WE
);
  parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0, INIT_E = 0, INIT_F = 0, INIT_G = 0, INIT_H = 0;
  parameter [0:0] IS_WCLK_INVERTED = 0;
  wire clk = WCLK ^ IS_WCLK_INVERTED;
  fpgaflow_lut_ram #(6, 1, INIT_A) a (clk, WE, ADDRH, ADDRA, DIA, DOA);
  fpgaflow_lut_ram #(6, 1, INIT_B) b (clk, WE, ADDRH, ADDRB, DIB, DOB);
  fpgaflow_lut_ram #(6, 1, INIT_C) c (clk, WE, ADDRH, ADDRC, DIC, DOC);
  fpgaflow_lut_ram #(6, 1, INIT_D) d (clk, WE, ADDRH, ADDRD, DID, DOD);
  fpgaflow_lut_ram #(6, 1, INIT_E) e (clk, WE, ADDRH, ADDRE, DIE, DOE);
  fpgaflow_lut_ram #(6, 1, INIT_F) f (clk, WE, ADDRH, ADDRF, DIF, DOF);
  fpgaflow_lut_ram #(6, 1, INIT_G) g (clk, WE, ADDRH, ADDRG, DIG, DOG);
  fpgaflow_lut_ram #(6, 1, INIT_H) h (clk, WE, ADDRH, ADDRH, DIH, DOH);
endmodule

module RAMB18E2 (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, ADDRENA, ADDRENB, SLEEP,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [13:0] ADDRARDADDR, ADDRBWRADDR,
  input [15:0] DINADIN, DINBDIN,
  input [1:0] DINPADINP, DINPBDINP,
  input [1:0] WEA,
  input [3:0] WEBWE,
  output [15:0] DOUTADOUT, DOUTBDOUT,
  output [1:0] DOUTPADOUTP, DOUTPBDOUTP
);
  parameter integer DOA_REG = 0, DOB_REG = 0;
  parameter [255:0] INIT_00 = 0;
  parameter [255:0] INIT_01 = 0;
  parameter [255:0] INIT_02 = 0;
  parameter [255:0] INIT_03 = 0;
  parameter [255:0] INIT_04 = 0;
  parameter [255:0] INIT_05 = 0;
  parameter [255:0] INIT_06 = 0;
  parameter [255:0] INIT_07 = 0;
  parameter [255:0] INIT_08 = 0;
  parameter [255:0] INIT_09 = 0;
  parameter [255:0] INIT_0A = 0;
  parameter [255:0] INIT_0B = 0;
  parameter [255:0] INIT_0C = 0;
  parameter [255:0] INIT_0D = 0;
  parameter [255:0] INIT_0E = 0;
  parameter [255:0] INIT_0F = 0;
  parameter [255:0] INIT_10 = 0;
  parameter [255:0] INIT_11 = 0;
  parameter [255:0] INIT_12 = 0;
  parameter [255:0] INIT_13 = 0;
  parameter [255:0] INIT_14 = 0;
  parameter [255:0] INIT_15 = 0;
  parameter [255:0] INIT_16 = 0;
  parameter [255:0] INIT_17 = 0;
  parameter [255:0] INIT_18 = 0;
  parameter [255:0] INIT_19 = 0;
  parameter [255:0] INIT_1A = 0;
  parameter [255:0] INIT_1B = 0;
  parameter [255:0] INIT_1C = 0;
  parameter [255:0] INIT_1D = 0;
  parameter [255:0] INIT_1E = 0;
  parameter [255:0] INIT_1F = 0;
  parameter [255:0] INIT_20 = 0;
  parameter [255:0] INIT_21 = 0;
  parameter [255:0] INIT_22 = 0;
  parameter [255:0] INIT_23 = 0;
  parameter [255:0] INIT_24 = 0;
  parameter [255:0] INIT_25 = 0;
  parameter [255:0] INIT_26 = 0;
  parameter [255:0] INIT_27 = 0;
  parameter [255:0] INIT_28 = 0;
  parameter [255:0] INIT_29 = 0;
  parameter [255:0] INIT_2A = 0;
  parameter [255:0] INIT_2B = 0;
  parameter [255:0] INIT_2C = 0;
  parameter [255:0] INIT_2D = 0;
  parameter [255:0] INIT_2E = 0;
  parameter [255:0] INIT_2F = 0;
  parameter [255:0] INIT_30 = 0;
  parameter [255:0] INIT_31 = 0;
  parameter [255:0] INIT_32 = 0;
  parameter [255:0] INIT_33 = 0;
  parameter [255:0] INIT_34 = 0;
  parameter [255:0] INIT_35 = 0;
  parameter [255:0] INIT_36 = 0;
  parameter [255:0] INIT_37 = 0;
  parameter [255:0] INIT_38 = 0;
  parameter [255:0] INIT_39 = 0;
  parameter [255:0] INIT_3A = 0;
  parameter [255:0] INIT_3B = 0;
  parameter [255:0] INIT_3C = 0;
  parameter [255:0] INIT_3D = 0;
  parameter [255:0] INIT_3E = 0;
  parameter [255:0] INIT_3F = 0;
  parameter [255:0] INITP_00 = 0;
  parameter [255:0] INITP_01 = 0;
  parameter [255:0] INITP_02 = 0;
  parameter [255:0] INITP_03 = 0;
  parameter [255:0] INITP_04 = 0;
  parameter [255:0] INITP_05 = 0;
  parameter [255:0] INITP_06 = 0;
  parameter [255:0] INITP_07 = 0;
  parameter [17:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
  fpgaflow_ram #(
    .BITS(16384), .HALF(16), .DATA({INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00}), .PARITY({INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00}),
    .SDP(READ_WIDTH_A == 36 || WRITE_WIDTH_B == 36), .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_A(WRITE_WIDTH_A),
    .WRITE_B(WRITE_WIDTH_B), .FIRST_A(WRITE_MODE_A == "WRITE_FIRST"), .KEEP_A(WRITE_MODE_A == "NO_CHANGE"),
    .FIRST_B(WRITE_MODE_B == "WRITE_FIRST"), .KEEP_B(WRITE_MODE_B == "NO_CHANGE"),
    .START({INIT_B, INIT_A}), .RESET({SRVAL_B, SRVAL_A})
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN), .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB),
    .addr_a(ADDRARDADDR[14-1:0]), .addr_b(ADDRBWRADDR[14-1:0]),
    .di_a({DINPADINP, DINADIN}), .di_b({DINPBDINP, DINBDIN}), .we_a(WEA), .we_b(WEBWE),
    .do_a({DOUTPADOUTP, DOUTADOUT}), .do_b({DOUTPBDOUTP, DOUTBDOUT})
  );
endmodule

module RAMB36E2 (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, ADDRENA, ADDRENB, SLEEP,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [14:0] ADDRARDADDR, ADDRBWRADDR,
  input [31:0] DINADIN, DINBDIN,
  input [3:0] DINPADINP, DINPBDINP,
  input [3:0] WEA,
  input [7:0] WEBWE,
  output [31:0] DOUTADOUT, DOUTBDOUT,
  output [3:0] DOUTPADOUTP, DOUTPBDOUTP
);
  parameter integer DOA_REG = 0, DOB_REG = 0;
  parameter [255:0] INIT_00 = 0;
  parameter [255:0] INIT_01 = 0;
  parameter [255:0] INIT_02 = 0;
  parameter [255:0] INIT_03 = 0;
  parameter [255:0] INIT_04 = 0;
  parameter [255:0] INIT_05 = 0;
  parameter [255:0] INIT_06 = 0;
  parameter [255:0] INIT_07 = 0;
  parameter [255:0] INIT_08 = 0;
  parameter [255:0] INIT_09 = 0;
  parameter [255:0] INIT_0A = 0;
  parameter [255:0] INIT_0B = 0;
  parameter [255:0] INIT_0C = 0;
  parameter [255:0] INIT_0D = 0;
  parameter [255:0] INIT_0E = 0;
  parameter [255:0] INIT_0F = 0;
  parameter [255:0] INIT_10 = 0;
  parameter [255:0] INIT_11 = 0;
  parameter [255:0] INIT_12 = 0;
  parameter [255:0] INIT_13 = 0;
  parameter [255:0] INIT_14 = 0;
  parameter [255:0] INIT_15 = 0;
  parameter [255:0] INIT_16 = 0;
  parameter [255:0] INIT_17 = 0;
  parameter [255:0] INIT_18 = 0;
  parameter [255:0] INIT_19 = 0;
  parameter [255:0] INIT_1A = 0;
  parameter [255:0] INIT_1B = 0;
  parameter [255:0] INIT_1C = 0;
  parameter [255:0] INIT_1D = 0;
  parameter [255:0] INIT_1E = 0;
  parameter [255:0] INIT_1F = 0;
  parameter [255:0] INIT_20 = 0;
  parameter [255:0] INIT_21 = 0;
  parameter [255:0] INIT_22 = 0;
  parameter [255:0] INIT_23 = 0;
  parameter [255:0] INIT_24 = 0;
  parameter [255:0] INIT_25 = 0;
  parameter [255:0] INIT_26 = 0;
  parameter [255:0] INIT_27 = 0;
  parameter [255:0] INIT_28 = 0;
  parameter [255:0] INIT_29 = 0;
  parameter [255:0] INIT_2A = 0;
  parameter [255:0] INIT_2B = 0;
  parameter [255:0] INIT_2C = 0;
  parameter [255:0] INIT_2D = 0;
  parameter [255:0] INIT_2E = 0;
  parameter [255:0] INIT_2F = 0;
  parameter [255:0] INIT_30 = 0;
  parameter [255:0] INIT_31 = 0;
  parameter [255:0] INIT_32 = 0;
  parameter [255:0] INIT_33 = 0;
  parameter [255:0] INIT_34 = 0;
  parameter [255:0] INIT_35 = 0;
  parameter [255:0] INIT_36 = 0;
  parameter [255:0] INIT_37 = 0;
  parameter [255:0] INIT_38 = 0;
  parameter [255:0] INIT_39 = 0;
  parameter [255:0] INIT_3A = 0;
  parameter [255:0] INIT_3B = 0;
  parameter [255:0] INIT_3C = 0;
  parameter [255:0] INIT_3D = 0;
  parameter [255:0] INIT_3E = 0;
  parameter [255:0] INIT_3F = 0;
  parameter [255:0] INIT_40 = 0;
  parameter [255:0] INIT_41 = 0;
  parameter [255:0] INIT_42 = 0;
  parameter [255:0] INIT_43 = 0;
  parameter [255:0] INIT_44 = 0;
  parameter [255:0] INIT_45 = 0;
  parameter [255:0] INIT_46 = 0;
  parameter [255:0] INIT_47 = 0;
  parameter [255:0] INIT_48 = 0;
  parameter [255:0] INIT_49 = 0;
  parameter [255:0] INIT_4A = 0;
  parameter [255:0] INIT_4B = 0;
  parameter [255:0] INIT_4C = 0;
  parameter [255:0] INIT_4D = 0;
  parameter [255:0] INIT_4E = 0;
  parameter [255:0] INIT_4F = 0;
  parameter [255:0] INIT_50 = 0;
  parameter [255:0] INIT_51 = 0;
  parameter [255:0] INIT_52 = 0;
  parameter [255:0] INIT_53 = 0;
  parameter [255:0] INIT_54 = 0;
  parameter [255:0] INIT_55 = 0;
  parameter [255:0] INIT_56 = 0;
  parameter [255:0] INIT_57 = 0;
  parameter [255:0] INIT_58 = 0;
  parameter [255:0] INIT_59 = 0;
  parameter [255:0] INIT_5A = 0;
  parameter [255:0] INIT_5B = 0;
  parameter [255:0] INIT_5C = 0;
  parameter [255:0] INIT_5D = 0;
  parameter [255:0] INIT_5E = 0;
  parameter [255:0] INIT_5F = 0;
  parameter [255:0] INIT_60 = 0;
  parameter [255:0] INIT_61 = 0;
  parameter [255:0] INIT_62 = 0;
  parameter [255:0] INIT_63 = 0;
  parameter [255:0] INIT_64 = 0;
  parameter [255:0] INIT_65 = 0;
  parameter [255:0] INIT_66 = 0;
  parameter [255:0] INIT_67 = 0;
  parameter [255:0] INIT_68 = 0;
  parameter [255:0] INIT_69 = 0;
  parameter [255:0] INIT_6A = 0;
  parameter [255:0] INIT_6B = 0;
  parameter [255:0] INIT_6C = 0;
  parameter [255:0] INIT_6D = 0;
  parameter [255:0] INIT_6E = 0;
  parameter [255:0] INIT_6F = 0;
  parameter [255:0] INIT_70 = 0;
  parameter [255:0] INIT_71 = 0;
  parameter [255:0] INIT_72 = 0;
  parameter [255:0] INIT_73 = 0;
  parameter [255:0] INIT_74 = 0;
  parameter [255:0] INIT_75 = 0;
  parameter [255:0] INIT_76 = 0;
  parameter [255:0] INIT_77 = 0;
  parameter [255:0] INIT_78 = 0;
  parameter [255:0] INIT_79 = 0;
  parameter [255:0] INIT_7A = 0;
  parameter [255:0] INIT_7B = 0;
  parameter [255:0] INIT_7C = 0;
  parameter [255:0] INIT_7D = 0;
  parameter [255:0] INIT_7E = 0;
  parameter [255:0] INIT_7F = 0;
  parameter [255:0] INITP_00 = 0;
  parameter [255:0] INITP_01 = 0;
  parameter [255:0] INITP_02 = 0;
  parameter [255:0] INITP_03 = 0;
  parameter [255:0] INITP_04 = 0;
  parameter [255:0] INITP_05 = 0;
  parameter [255:0] INITP_06 = 0;
  parameter [255:0] INITP_07 = 0;
  parameter [255:0] INITP_08 = 0;
  parameter [255:0] INITP_09 = 0;
  parameter [255:0] INITP_0A = 0;
  parameter [255:0] INITP_0B = 0;
  parameter [255:0] INITP_0C = 0;
  parameter [255:0] INITP_0D = 0;
  parameter [255:0] INITP_0E = 0;
  parameter [255:0] INITP_0F = 0;
  parameter [35:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
  fpgaflow_ram #(
    .BITS(32768), .HALF(32), .DATA({INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78, INIT_77, INIT_76, INIT_75, INIT_74, INIT_73, INIT_72, INIT_71, INIT_70, INIT_6F, INIT_6E, INIT_6D, INIT_6C, INIT_6B, INIT_6A, INIT_69, INIT_68, INIT_67, INIT_66, INIT_65, INIT_64, INIT_63, INIT_62, INIT_61, INIT_60, INIT_5F, INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59, INIT_58, INIT_57, INIT_56, INIT_55, INIT_54, INIT_53, INIT_52, INIT_51, INIT_50, INIT_4F, INIT_4E, INIT_4D, INIT_4C, INIT_4B, INIT_4A, INIT_49, INIT_48, INIT_47, INIT_46, INIT_45, INIT_44, INIT_43, INIT_42, INIT_41, INIT_40, INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00}), .PARITY({INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08, INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00}),
    .SDP(READ_WIDTH_A == 72 || WRITE_WIDTH_B == 72), .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_A(WRITE_WIDTH_A),
    .WRITE_B(WRITE_WIDTH_B), .FIRST_A(WRITE_MODE_A == "WRITE_FIRST"), .KEEP_A(WRITE_MODE_A == "NO_CHANGE"),
    .FIRST_B(WRITE_MODE_B == "WRITE_FIRST"), .KEEP_B(WRITE_MODE_B == "NO_CHANGE"),
    .START({INIT_B, INIT_A}), .RESET({SRVAL_B, SRVAL_A})
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN), .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB),
    .addr_a(ADDRARDADDR[15-1:0]), .addr_b(ADDRBWRADDR[15-1:0]),
    .di_a({DINPADINP, DINADIN}), .di_b({DINPBDINP, DINBDIN}), .we_a(WEA), .we_b(WEBWE),
    .do_a({DOUTPADOUTP, DOUTADOUT}), .do_b({DOUTPBDOUTP, DOUTBDOUT})
  );
endmodule
