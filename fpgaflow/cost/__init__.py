"""What a design will cost before any tool has run: resources and clock cycles, all estimated."""
