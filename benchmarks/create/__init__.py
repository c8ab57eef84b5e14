"""How many tasks one request to Bitrix24 carries, under the portal's published limit and without any."""
