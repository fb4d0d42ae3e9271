// Block RAM of the 7 series (AMD UG473) for simulation: Yosys has its ports and timing alone.
//
// What Yosys' mapping makes of memories is here: one width for all ports in use, no output registers, no cascade.
module fpgaflow_words #(parameter WORDS = 2, ABITS = 1, WIDTH = 1, PARTS = 1, INIT = 0) (
  input clk_a, clk_b, input [ABITS-1:0] at_a, at_b, input [PARTS-1:0] write_a, write_b, input [WIDTH-1:0] in_a, in_b,
  output [WIDTH-1:0] out_a, out_b
);
  localparam PART = WIDTH / PARTS;
  wire [WIDTH-1:0] bits_a, bits_b;
  genvar k;
  generate for (k = 0; k < PARTS; k = k + 1) begin
    assign bits_a[k*PART +: PART] = {PART{write_a[k]}}, bits_b[k*PART +: PART] = {PART{write_b[k]}};
  end endgenerate
  \$mem_v2 #(
    .MEMID("\\words"), .SIZE(WORDS), .OFFSET(0), .ABITS(ABITS), .WIDTH(WIDTH), .INIT(INIT[WORDS*WIDTH-1:0]),
    .RD_PORTS(2), .RD_CLK_ENABLE(2'b0), .RD_CLK_POLARITY(2'b0), .RD_TRANSPARENCY_MASK(4'b0), .RD_COLLISION_X_MASK(4'b0),
    .RD_WIDE_CONTINUATION(2'b0), .RD_CE_OVER_SRST(2'b0), .RD_ARST_VALUE({2*WIDTH{1'b0}}),
    .RD_SRST_VALUE({2*WIDTH{1'b0}}), .RD_INIT_VALUE({2*WIDTH{1'b0}}),
    .WR_PORTS(2), .WR_CLK_ENABLE(2'b11), .WR_CLK_POLARITY(2'b11), .WR_PRIORITY_MASK(4'b0), .WR_WIDE_CONTINUATION(2'b0)
  ) words (
    .RD_CLK(2'b0), .RD_EN(2'b11), .RD_ARST(2'b0), .RD_SRST(2'b0), .RD_ADDR({at_b, at_a}), .RD_DATA({out_b, out_a}),
    .WR_CLK({clk_b, clk_a}), .WR_EN({bits_b, bits_a}), .WR_ADDR({at_b, at_a}), .WR_DATA({in_b, in_a})
  );
endmodule

module fpgaflow_ram (clk_a, clk_b, en_a, en_b, rst_a, rst_b, addr_a, addr_b, di_a, di_b, we_a, we_b, do_a, do_b);
  parameter BITS = 16384, HALF = 16;  // data bits in all, and of one port at most
  parameter [BITS-1:0] DATA = 0;
  parameter [BITS/8-1:0] PARITY = 0;
  parameter SDP = 0, READ_A = 0, READ_B = 0, WRITE_A = 0, WRITE_B = 0;
  parameter FIRST_A = 0, KEEP_A = 0, FIRST_B = 0, KEEP_B = 0;
  parameter [2*(HALF+HALF/8)-1:0] START = 0, RESET = 0;  // {port B, port A}, each {parity, data}
  localparam HALF_PARITY = HALF / 8, PORT = HALF + HALF_PARITY;
  localparam READ = READ_A > READ_B ? READ_A : READ_B, WRITE = WRITE_A > WRITE_B ? WRITE_A : WRITE_B;
  localparam WIDTH = READ > WRITE ? READ : WRITE;
  localparam D = WIDTH < 9 ? WIDTH : WIDTH / 9 * 8, P = WIDTH / 9;
  localparam WORDS = BITS / D, DROP = $clog2(D), BYTES = P > 1 ? P : 1, BYTE = P ? 8 : D;
  input clk_a, clk_b, en_a, en_b, rst_a, rst_b;
  input [$clog2(BITS)-1:0] addr_a, addr_b;
  input [PORT-1:0] di_a, di_b;
  input [HALF_PARITY-1:0] we_a;
  input [2*HALF_PARITY-1:0] we_b;
  output [PORT-1:0] do_a, do_b;

  generate
    if ((READ_A && READ_A != WIDTH) || (READ_B && READ_B != WIDTH) || (WRITE_A && WRITE_A != WIDTH) || (WRITE_B && WRITE_B != WIDTH))
      ports_of_several_widths_have_no_model unknown ();
  endgenerate

  localparam ABITS = $clog2(WORDS);
  wire [ABITS-1:0] word_a = addr_a[$clog2(BITS)-1:DROP], word_b = addr_b[$clog2(BITS)-1:DROP];
  wire [D-1:0] now_a, now_b, in_a, in_b;
  wire [BYTES-1:0] par_a, par_b, pin_a, pin_b, write_a, write_b;  // one bit of parity, 0, where there is none
  fpgaflow_words #(WORDS, ABITS, D, BYTES, DATA) mem (clk_a, clk_b, word_a, word_b, write_a, write_b, in_a, in_b, now_a, now_b);
  generate if (P) fpgaflow_words #(WORDS, ABITS, BYTES, BYTES, PARITY)
    par (clk_a, clk_b, word_a, word_b, write_a, write_b, pin_a, pin_b, par_a, par_b);
  else assign par_a = 0, par_b = 0;
  endgenerate

  // Data and parity of a word on both ports' pins, port A's first.
  function [2*HALF-1:0] wide_data(input [PORT-1:0] a, b);
    wide_data = {b[HALF-1:0], a[HALF-1:0]};
  endfunction
  function [2*HALF_PARITY-1:0] wide_parity(input [PORT-1:0] a, b);
    wide_parity = {b[PORT-1:HALF], a[PORT-1:HALF]};
  endfunction

  integer k;
  generate if (SDP) begin
    // Port A reads, port B writes; a word may take the pins of both.
    wire [2*HALF-1:0] di = D > HALF ? wide_data(di_a, di_b) : {{HALF{1'b0}}, di_b[HALF-1:0]};
    wire [2*HALF_PARITY-1:0] dip = D > HALF ? wide_parity(di_a, di_b) : {{HALF_PARITY{1'b0}}, di_b[PORT-1:HALF]};
    assign write_a = 0, in_a = 0, pin_a = 0, write_b = {BYTES{en_b}} & we_b, in_b = di, pin_b = dip;
    reg [D-1:0] q = D > HALF ? wide_data(START[PORT-1:0], START[2*PORT-1:PORT]) : START[HALF-1:0];
    reg [BYTES-1:0] qp = D > HALF ? wide_parity(START[PORT-1:0], START[2*PORT-1:PORT]) : START[PORT-1:HALF];
    always @(posedge clk_a) if (en_a) begin
      q <= rst_a ? (D > HALF ? wide_data(RESET[PORT-1:0], RESET[2*PORT-1:PORT]) : RESET[HALF-1:0]) : now_a;
      qp <= rst_a ? (D > HALF ? wide_parity(RESET[PORT-1:0], RESET[2*PORT-1:PORT]) : RESET[PORT-1:HALF]) : par_a;
    end
    wire [2*HALF-1:0] data = q;
    wire [2*HALF_PARITY-1:0] parity = qp;
    assign do_a = {parity[HALF_PARITY-1:0], data[HALF-1:0]};
    assign do_b = {parity[2*HALF_PARITY-1:HALF_PARITY], data[2*HALF-1:HALF]};
  end else begin
    assign write_a = WRITE_A ? {BYTES{en_a}} & we_a : 0, in_a = di_a[HALF-1:0], pin_a = di_a[PORT-1:HALF];
    assign write_b = WRITE_B ? {BYTES{en_b}} & we_b : 0, in_b = di_b[HALF-1:0], pin_b = di_b[PORT-1:HALF];
    reg [D-1:0] q_a = START[HALF-1:0], q_b = START[PORT +: HALF];
    reg [BYTES-1:0] qp_a = START[PORT-1:HALF], qp_b = START[PORT + HALF +: HALF_PARITY];
    always @(posedge clk_a) if (en_a) begin
      if (rst_a) begin
        q_a <= RESET[HALF-1:0];
        qp_a <= RESET[PORT-1:HALF];
      end else if (!(KEEP_A && WRITE_A && |we_a[BYTES-1:0])) for (k = 0; k < BYTES; k = k + 1) begin
        q_a[k*BYTE +: BYTE] <= FIRST_A && WRITE_A && we_a[k] ? di_a[k*BYTE +: BYTE] : now_a[k*BYTE +: BYTE];
        qp_a[k] <= FIRST_A && WRITE_A && we_a[k] ? di_a[HALF + k] : par_a[k];
      end
    end
    always @(posedge clk_b) if (en_b) begin
      if (rst_b) begin
        q_b <= RESET[PORT +: HALF];
        qp_b <= RESET[PORT + HALF +: HALF_PARITY];
      end else if (!(KEEP_B && WRITE_B && |we_b[BYTES-1:0])) for (k = 0; k < BYTES; k = k + 1) begin
        q_b[k*BYTE +: BYTE] <= FIRST_B && WRITE_B && we_b[k] ? di_b[k*BYTE +: BYTE] : now_b[k*BYTE +: BYTE];
        qp_b[k] <= FIRST_B && WRITE_B && we_b[k] ? di_b[HALF + k] : par_b[k];
      end
    end
    wire [HALF-1:0] data_a = q_a, data_b = q_b;
    wire [HALF_PARITY-1:0] parity_a = P ? qp_a : 0, parity_b = P ? qp_b : 0;
    assign do_a = {parity_a, data_a};
    assign do_b = {parity_b, data_b};
  end endgenerate
endmodule

module RAMB18E1 (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [13:0] ADDRARDADDR, ADDRBWRADDR,
  input [15:0] DIADI, DIBDI,
  input [1:0] DIPADIP, DIPBDIP,
  input [1:0] WEA,
  input [3:0] WEBWE,
  output [15:0] DOADO, DOBDO,
  output [1:0] DOPADOP, DOPBDOP
);
  parameter integer DOA_REG = 0, DOB_REG = 0;
  parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0,
    INIT_07 = 0, INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0,
    INIT_0F = 0, INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0,
    INIT_17 = 0, INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0,
    INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0,
    INIT_27 = 0, INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0,
    INIT_2F = 0, INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0,
    INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0,
    INIT_3F = 0, INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0,
    INITP_07 = 0;
  parameter [17:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
  parameter RAM_MODE = "TDP", WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE";
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
  fpgaflow_ram #(
    .BITS(16384), .HALF(16), .DATA({INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00}), .PARITY({INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00}),
    .SDP(RAM_MODE == "SDP"), .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_A(WRITE_WIDTH_A),
    .WRITE_B(WRITE_WIDTH_B), .FIRST_A(WRITE_MODE_A == "WRITE_FIRST"), .KEEP_A(WRITE_MODE_A == "NO_CHANGE"),
    .FIRST_B(WRITE_MODE_B == "WRITE_FIRST"), .KEEP_B(WRITE_MODE_B == "NO_CHANGE"),
    .START({INIT_B, INIT_A}), .RESET({SRVAL_B, SRVAL_A})
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN), .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB),
    .addr_a(ADDRARDADDR[14-1:0]), .addr_b(ADDRBWRADDR[14-1:0]),
    .di_a({DIPADIP, DIADI}), .di_b({DIPBDIP, DIBDI}), .we_a(WEA), .we_b(WEBWE),
    .do_a({DOPADOP, DOADO}), .do_b({DOPBDOP, DOBDO})
  );
endmodule

module RAMB36E1 (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input CASCADEINA, CASCADEINB, INJECTDBITERR, INJECTSBITERR,
  input [15:0] ADDRARDADDR, ADDRBWRADDR,
  input [31:0] DIADI, DIBDI,
  input [3:0] DIPADIP, DIPBDIP,
  input [3:0] WEA,
  input [7:0] WEBWE,
  output [31:0] DOADO, DOBDO,
  output [3:0] DOPADOP, DOPBDOP
);
  parameter integer DOA_REG = 0, DOB_REG = 0;
  parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0,
    INIT_07 = 0, INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0,
    INIT_0F = 0, INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0,
    INIT_17 = 0, INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0,
    INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0,
    INIT_27 = 0, INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0,
    INIT_2F = 0, INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0,
    INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0,
    INIT_3F = 0, INIT_40 = 0, INIT_41 = 0, INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0, INIT_46 = 0,
    INIT_47 = 0, INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0, INIT_4C = 0, INIT_4D = 0, INIT_4E = 0,
    INIT_4F = 0, INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0, INIT_54 = 0, INIT_55 = 0, INIT_56 = 0,
    INIT_57 = 0, INIT_58 = 0, INIT_59 = 0, INIT_5A = 0, INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0,
    INIT_5F = 0, INIT_60 = 0, INIT_61 = 0, INIT_62 = 0, INIT_63 = 0, INIT_64 = 0, INIT_65 = 0, INIT_66 = 0,
    INIT_67 = 0, INIT_68 = 0, INIT_69 = 0, INIT_6A = 0, INIT_6B = 0, INIT_6C = 0, INIT_6D = 0, INIT_6E = 0,
    INIT_6F = 0, INIT_70 = 0, INIT_71 = 0, INIT_72 = 0, INIT_73 = 0, INIT_74 = 0, INIT_75 = 0, INIT_76 = 0,
    INIT_77 = 0, INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0, INIT_7D = 0, INIT_7E = 0,
    INIT_7F = 0, INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0,
    INITP_07 = 0, INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0, INITP_0C = 0, INITP_0D = 0, INITP_0E = 0,
    INITP_0F = 0;
  parameter [35:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
  parameter RAM_MODE = "TDP", WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE";
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
  fpgaflow_ram #(
    .BITS(32768), .HALF(32), .DATA({INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78, INIT_77, INIT_76, INIT_75, INIT_74, INIT_73, INIT_72, INIT_71, INIT_70, INIT_6F, INIT_6E, INIT_6D, INIT_6C, INIT_6B, INIT_6A, INIT_69, INIT_68, INIT_67, INIT_66, INIT_65, INIT_64, INIT_63, INIT_62, INIT_61, INIT_60, INIT_5F, INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59, INIT_58, INIT_57, INIT_56, INIT_55, INIT_54, INIT_53, INIT_52, INIT_51, INIT_50, INIT_4F, INIT_4E, INIT_4D, INIT_4C, INIT_4B, INIT_4A, INIT_49, INIT_48, INIT_47, INIT_46, INIT_45, INIT_44, INIT_43, INIT_42, INIT_41, INIT_40, INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00}), .PARITY({INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08, INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00}),
    .SDP(RAM_MODE == "SDP"), .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_A(WRITE_WIDTH_A),
    .WRITE_B(WRITE_WIDTH_B), .FIRST_A(WRITE_MODE_A == "WRITE_FIRST"), .KEEP_A(WRITE_MODE_A == "NO_CHANGE"),
    .FIRST_B(WRITE_MODE_B == "WRITE_FIRST"), .KEEP_B(WRITE_MODE_B == "NO_CHANGE"),
    .START({INIT_B, INIT_A}), .RESET({SRVAL_B, SRVAL_A})
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN), .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB),
    .addr_a(ADDRARDADDR[15-1:0]), .addr_b(ADDRBWRADDR[15-1:0]),
    .di_a({DIPADIP, DIADI}), .di_b({DIPBDIP, DIBDI}), .we_a(WEA), .we_b(WEBWE),
    .do_a({DOPADOP, DOADO}), .do_b({DOPBDOP, DOBDO})
  );
endmodule
