// DSP48E1 (AMD UG479) in the modes that Yosys' mapping gives it, for a techmap: a product, a pre-adder, an adder of zero,
// C, P or a neighbour's P, and registers around each. In any other mode the cell stays as it is.
module DSP48E1 (
  output [29:0] ACOUT, output [17:0] BCOUT, output CARRYCASCOUT, output [3:0] CARRYOUT, output MULTSIGNOUT,
  output OVERFLOW, output [47:0] P, output PATTERNBDETECT, output PATTERNDETECT, output [47:0] PCOUT, output UNDERFLOW,
  input [29:0] A, ACIN, input [3:0] ALUMODE, input [17:0] B, BCIN, input [47:0] C, input CARRYCASCIN, CARRYIN,
  input [2:0] CARRYINSEL, input CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, CEP,
  input CLK, input [24:0] D, input [4:0] INMODE, input MULTSIGNIN, input [6:0] OPMODE, input [47:0] PCIN,
  input RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP
);
  parameter ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1, CARRYINREG = 1;
  parameter CARRYINSELREG = 1, CREG = 1, DREG = 1, INMODEREG = 1, MREG = 1, OPMODEREG = 1, PREG = 1;
  parameter AUTORESET_PATDET = "NO_RESET", A_INPUT = "DIRECT", B_INPUT = "DIRECT", SEL_MASK = "MASK";
  parameter SEL_PATTERN = "PATTERN", USE_DPORT = "FALSE", USE_MULT = "MULTIPLY", USE_PATTERN_DETECT = "NO_PATDET";
  parameter USE_SIMD = "ONE48", MASK = 48'h3FFFFFFFFFFF, PATTERN = 48'h0;
  parameter IS_ALUMODE_INVERTED = 0, IS_CARRYIN_INVERTED = 0, IS_CLK_INVERTED = 0, IS_INMODE_INVERTED = 0;
  parameter IS_OPMODE_INVERTED = 0;

  parameter [6:0] _TECHMAP_CONSTMSK_OPMODE_ = 0, _TECHMAP_CONSTVAL_OPMODE_ = 0;
  parameter [4:0] _TECHMAP_CONSTMSK_INMODE_ = 0, _TECHMAP_CONSTVAL_INMODE_ = 0;
  parameter [3:0] _TECHMAP_CONSTMSK_ALUMODE_ = 0, _TECHMAP_CONSTVAL_ALUMODE_ = 0;
  parameter [2:0] _TECHMAP_CONSTMSK_CARRYINSEL_ = 0, _TECHMAP_CONSTVAL_CARRYINSEL_ = 0;
  parameter _TECHMAP_CONSTMSK_CARRYIN_ = 0, _TECHMAP_CONSTVAL_CARRYIN_ = 0;

  localparam [6:0] KNOWN = _TECHMAP_CONSTMSK_OPMODE_, MODE = _TECHMAP_CONSTVAL_OPMODE_;
  localparam [4:0] IN = _TECHMAP_CONSTVAL_INMODE_;
  // Z is one of: zero, PCIN, PCIN >> 17, P >> 17 by a constant; P or C by bit 4.
  localparam Z_KNOWN = KNOWN[6:4] == 7 && (MODE[6:4] < 2 || MODE[6:4] == 5 || MODE[6:4] == 6 && PREG == 1)
    || KNOWN[6:5] == 3 && MODE[6:5] == 1 && (PREG == 1 || KNOWN[4] && MODE[4]);
  localparam IN_KNOWN = &_TECHMAP_CONSTMSK_INMODE_ && (USE_DPORT == "TRUE" ? IN == 4 || IN == 12 : IN == 0);
  localparam REGISTERS_KNOWN = AREG <= 2 && BREG <= 2 && ADREG <= 1 && CREG <= 1 && DREG <= 1 && MREG <= 1 && PREG <= 1;
  localparam CONTROL_IS_WIRED = ALUMODEREG == 0 && CARRYINREG == 0 && CARRYINSELREG == 0 && INMODEREG == 0 && OPMODEREG == 0;
  localparam ADDS = &_TECHMAP_CONSTMSK_ALUMODE_ && _TECHMAP_CONSTVAL_ALUMODE_ == 0 && &_TECHMAP_CONSTMSK_CARRYINSEL_
    && _TECHMAP_CONSTVAL_CARRYINSEL_ == 0 && _TECHMAP_CONSTMSK_CARRYIN_ && _TECHMAP_CONSTVAL_CARRYIN_ == 0;
  localparam NOTHING_ELSE = USE_PATTERN_DETECT == "NO_PATDET" && USE_SIMD == "ONE48" && USE_MULT == "MULTIPLY"
    && IS_ALUMODE_INVERTED == 0 && IS_CARRYIN_INVERTED == 0 && IS_CLK_INVERTED == 0 && IS_INMODE_INVERTED == 0
    && IS_OPMODE_INVERTED == 0;
  wire _TECHMAP_FAIL_ = !(Z_KNOWN && KNOWN[3:0] == 15 && MODE[3:0] == 5 && IN_KNOWN && REGISTERS_KNOWN
    && CONTROL_IS_WIRED && ADDS && NOTHING_ELSE);

  wire [29:0] a0, a1, a2;
  wire [17:0] b0, b1, b2;
  wire [47:0] c, sum;
  wire [24:0] d, first, factor;
  wire [42:0] product;
  assign a0 = A_INPUT == "CASCADE" ? ACIN : A;
  assign b0 = B_INPUT == "CASCADE" ? BCIN : B;
  fpgaflow_register #(30, AREG == 2) a_1 (CLK, CEA1, RSTA, a0, a1);
  fpgaflow_register #(30, AREG != 0) a_2 (CLK, CEA2, RSTA, a1, a2);
  fpgaflow_register #(18, BREG == 2) b_1 (CLK, CEB1, RSTB, b0, b1);
  fpgaflow_register #(18, BREG != 0) b_2 (CLK, CEB2, RSTB, b1, b2);
  fpgaflow_register #(48, CREG != 0) c_1 (CLK, CEC, RSTC, C, c);
  fpgaflow_register #(25, DREG != 0) d_1 (CLK, CED, RSTD, D, d);
  fpgaflow_register #(25, ADREG != 0) ad_1 (CLK, CEAD, RSTD, IN == 12 ? d - a2[24:0] : d + a2[24:0], first);
  assign factor = USE_DPORT == "TRUE" ? first : a2[24:0];
  wire signed [42:0] multiplied = $signed(factor) * $signed(b2);
  fpgaflow_register #(43, MREG != 0) m_1 (CLK, CEM, RSTM, multiplied, product);
  generate
    if (MODE[6:5] == 0) assign sum = KNOWN[4] && MODE[4] ? PCIN : 0;
    else if (MODE[6:5] == 1) assign sum = KNOWN[4] ? (MODE[4] ? c : P) : OPMODE[4] ? c : P;
    else if (MODE[6:5] == 2) assign sum = {{17{PCIN[47]}}, PCIN[47:17]};
    else assign sum = {{17{P[47]}}, P[47:17]};
  endgenerate
  fpgaflow_register #(48, PREG != 0) p_1 (CLK, CEP, RSTP, {{5{product[42]}}, product} + sum, P);
  assign PCOUT = P, ACOUT = AREG == 2 && ACASCREG == 1 ? a1 : a2, BCOUT = BREG == 2 && BCASCREG == 1 ? b1 : b2;
endmodule

module fpgaflow_register #(parameter WIDTH = 1, IS_THERE = 1) (input clk, enable, reset, input [WIDTH-1:0] d, output [WIDTH-1:0] q);
  generate
    if (IS_THERE) begin
      reg [WIDTH-1:0] state = 0;
      always @(posedge clk) if (reset) state <= 0; else if (enable) state <= d;
      assign q = state;
    end else assign q = d;
  endgenerate
endmodule
