// ranked
