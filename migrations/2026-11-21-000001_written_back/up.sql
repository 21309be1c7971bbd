-- Top-level attributes that logic wrote: a source that does not know them does
-- not erase them.
ALTER TABLE subjects ADD COLUMN written_back text[] NOT NULL DEFAULT '{}';
