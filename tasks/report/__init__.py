"""Stage `report`: one self-contained page that shows what was found, kept, asked, learned and scored."""
